"""Measurements of Tandem against plain R, plain Python and other servers; `python -m benchmarks.run --help`."""
