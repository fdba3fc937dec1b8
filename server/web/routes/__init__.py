"""Every route but scoring."""
