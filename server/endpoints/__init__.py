"""Endpoints: stable names, behind each of which deployments of model versions share the traffic."""
