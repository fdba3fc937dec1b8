"""The life of models beside their serving: the store of objects, and the registry of versions in it."""
