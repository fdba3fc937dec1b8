"""From a scoring path to the pool that answers."""
