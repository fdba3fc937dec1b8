"""HTTP: the scoring route, FastAPI for everything else, and what answers when something is wrong."""
