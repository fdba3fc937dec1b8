"""R models, through an embedded R."""
