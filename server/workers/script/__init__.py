"""Scoring scripts: a folder's score.py with init() and run(raw_data), as Azure's managed endpoints have it."""
