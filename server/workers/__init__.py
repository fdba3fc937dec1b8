"""The other side of the wire: templates that load models and fork, workers that decode, predict and encode."""
