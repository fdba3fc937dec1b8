"""The ledger: what became of every copy that was received, by model, since the data folder was made.

It is exact because it is read from what lies on the disk: the frames of the segments that are there, and a file with
the counts of those that are done, which is renamed into place before their segment is removed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

Counts = dict[str, Counter[str]]
"""By model: what became of copies, and of how many."""


def add(to: Counts, more: Mapping[str, Mapping[str, int]]) -> None:
    """Add counts to others."""
    for model, counts in more.items():
        to.setdefault(model, Counter()).update(counts)


class Ledger:
    """The file of what is done."""

    def __init__(self, path: Path) -> None:
        self._path = path
        data = _read(path)
        self.through: int = data.get("through", 0)
        """Every segment up to this number is done: its parts are in the store."""
        self.server: str = data.get("server") or os.urandom(6).hex()
        """What tells this data folder's parts from those of others."""
        self.done: Counts = {}
        add(self.done, data.get("requests", {}))
        self.write()

    def write(self) -> None:
        """Put the ledger in force, whole or not at all."""
        data = {"through": self.through, "server": self.server, "requests": self.done}
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(data))
            file.flush()
            os.fsync(descriptor)
        new.replace(self._path)


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return data
