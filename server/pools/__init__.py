"""Everything that has worker processes."""
