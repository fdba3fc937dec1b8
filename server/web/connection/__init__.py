"""Bytes of HTTP, and what a connection may do."""
