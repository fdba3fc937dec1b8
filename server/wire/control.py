"""What web processes tell the supervisor through the control socket: a line of JSON each.

The other way go snapshots (`server.wire.snapshot`), one line each.

    {"confirmed":serial}             the snapshot with this number is in force
    {"kill":worker,"reason":text}    this worker is still busy with a call whose deadline has passed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.wire.record import Record


@dataclass(frozen=True, slots=True)
class Confirmed(Record):
    """A web process has switched to a snapshot."""

    confirmed: int
    """The snapshot's serial."""


@dataclass(frozen=True, slots=True)
class Kill(Record):
    """A web process asks for the end of a worker."""

    kill: str
    """The worker's name."""
    reason: str
    """Why, for the log."""


def message(data: Any) -> Confirmed | Kill:
    """The message in plain JSON data. Raises Misfit."""
    if isinstance(data, Mapping) and "kill" in data:
        return Kill.from_data(data)
    return Confirmed.from_data(data)
