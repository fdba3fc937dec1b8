"""What all web processes together have counted, read from the files that they share."""

from __future__ import annotations

from collections import defaultdict

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

_KEPT = {"tandem_rows_total": "rows", "tandem_batch_requests_count": "batches"}


def counted() -> dict[str, dict[str, float]]:
    """What all web processes have counted for each model: rows, batches, requests by end, seconds by stage."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for sample in (sample for family in registry.collect() for sample in family.samples):
        labels = sample.labels
        name = _KEPT.get(sample.name)
        if sample.name == "tandem_requests_total":
            name = "ok" if labels["code"] == "ok" else "failed"
        elif sample.name == "tandem_stage_seconds_total":
            name = labels["stage"]
        if name is not None:
            found[labels["model"]][name] += sample.value
    return found
