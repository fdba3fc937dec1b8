"""The registry: numbered, immutable versions of models, and the names that move among them."""
