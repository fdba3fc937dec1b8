"""Where a scoring path leads."""

from __future__ import annotations

from dataclasses import dataclass

from server.dispatch.dispatcher import Dispatcher
from server.wire.snapshot import Entry


@dataclass(frozen=True, slots=True)
class Target:
    """A model version, and the way to it."""

    entry: Entry
    timeout_s: float
    """Longest time that a request may take."""
    pinned: bool
    """Whether the path names the version."""
    dispatcher: Dispatcher | None
    """The way to the workers; None where another server has the model."""
    url: str = ""
    """Address at which the other server answers for the model."""
    raw: bool = False
    """Whether the model is a script that takes the body as it is."""
