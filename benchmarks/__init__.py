"""Measurements of Tandem against plain R and plumber; `python -m benchmarks.run --help`."""
