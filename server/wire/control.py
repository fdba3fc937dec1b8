"""What web processes tell the supervisor through the control socket: a line of JSON each.

The other way go snapshots (`server.wire.snapshot`), one line each, and what became of changes.

    {"confirmed":serial}             the snapshot with this number is in force
    {"kill":worker,"reason":text}    this worker is still busy with a call whose deadline has passed
    {"change":number,"action":…}     somebody wants an endpoint to be another
    {"changed":number,"code":…}      the answer to that
    {"lines":number,"pool":name,…}   somebody wants to see what a model has written of late
    {"told":number,"text":…}         the answer to that
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

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


Action = Literal["put", "patch", "delete"]


@dataclass(frozen=True, slots=True)
class EndpointChange(Record):
    """Somebody wants an endpoint or a deployment to be another, to come or to go."""

    change: int
    """A number by which the web process knows the answer."""
    action: Action
    endpoint: str
    deployment: str = ""
    """Empty where it is about the endpoint itself."""
    document: Mapping[str, Any] = field(default_factory=dict)
    """The definition, or what is to be another in it."""
    revisions: tuple[str, ...] | None = None
    """The endpoint has to be of one of these revisions; "*" stands for any."""
    new: bool = False
    """Whether nothing of this name may be there."""
    who: str = ""
    via: str = ""
    address: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class EndpointChanged(Record):
    """What became of a change."""

    changed: int
    code: str = ""
    """Why it was not made, as a code of `server/web/problems.py`; empty where it was."""
    detail: str = ""
    settled: bool = True
    """Whether all servers that live have it in force."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines(Record):
    """Somebody wants to see the newest lines that the model of a pool has written."""

    lines: int
    """A number by which the web process knows the answer."""
    pool: str
    most: int


@dataclass(frozen=True, slots=True)
class LinesTold(Record):
    """These lines."""

    told: int
    text: str


Question = EndpointChange | Lines
"""What is answered."""
Answer = EndpointChanged | LinesTold


def message(data: Any) -> Confirmed | Kill | Question:
    """The message in plain JSON data. Raises Misfit."""
    if isinstance(data, Mapping) and "lines" in data:
        return Lines.from_data(data)
    if isinstance(data, Mapping) and "change" in data:
        return EndpointChange.from_data(data)
    if isinstance(data, Mapping) and "kill" in data:
        return Kill.from_data(data)
    return Confirmed.from_data(data)
