"""The way from a scoring path to the pool that answers."""
