"""Tandem's server: one authenticated HTTP API in front of pools of R and Python worker processes."""

__version__ = "0.1.0"
