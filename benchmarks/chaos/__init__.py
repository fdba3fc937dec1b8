"""Tandem broken on purpose, and what its callers see of it; `python -m benchmarks.chaos --help`."""
