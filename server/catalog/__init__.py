"""Which models there are: what the folders hold, what sidecars say, and the immutable snapshot of what is served."""
