"""Retention: recordings of a model that have become too old leave the store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from mlops.collection.parts import COLLECTED
from mlops.objects import Objects
from server.wire.collect import Described

_DAY = "date="


class Retention:
    """Removes what is too old, once a day for each model that is recorded."""

    def __init__(self) -> None:
        self._looked: dict[str, date] = {}

    def look(self, objects: Objects, described: Iterable[Described], today: date) -> None:
        """Remove days that are older than the shortest time that is said of their model. Raises StoreUnavailable."""
        kept: dict[str, int] = {}
        for one in described:
            if one.collect.keep_days is not None:
                kept[one.model] = min(one.collect.keep_days, kept.get(one.model, one.collect.keep_days))
        for model, days in kept.items():
            if self._looked.get(model) != today:
                _remove(objects, model, today - timedelta(days=days))
                self._looked[model] = today


def _remove(objects: Objects, model: str, before: date) -> None:
    top = f"{COLLECTED}/{model}"
    for version in objects.folders(top):
        for day in objects.folders(f"{top}/{version}"):
            if day.startswith(_DAY) and day < f"{_DAY}{before}":
                for hour in objects.folders(f"{top}/{version}/{day}"):
                    folder = f"{top}/{version}/{day}/{hour}"
                    for name in objects.names(folder):
                        objects.remove(f"{folder}/{name}")
