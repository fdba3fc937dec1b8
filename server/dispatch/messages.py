"""What goes into the dispatch machine and what comes out of it. Plain data: no clock, no sockets, no futures."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Lane(enum.IntEnum):
    """Whose turn it is between a caller who waits for an answer, and work that nobody waits for."""

    LIVE = 0
    BATCH = 1


class Refusal(enum.Enum):
    """Why the dispatcher answers a request itself, without a worker's reply."""

    QUEUE_FULL = "queue_full"
    OVERLOADED = "overloaded"
    DEADLINE = "deadline_exceeded"
    NO_WORKER = "no_worker"
    WORKER_CRASHED = "worker_crashed"
    CRASHES_TOO_OFTEN = "crashes_too_often"
    MODEL_GONE = "unknown_model"
    ABANDONED = "abandoned"


@dataclass(slots=True, eq=False)
class Request:
    """One call on its way. `reply_to` is the shell's business; the machine only carries it.

    `deadline` is a point on the shell's monotonic clock, in seconds. A `pinned` request names its version; one that
    is not may go to the model's new version when the old one has left before the request was sent. `gives_up` is when
    it has waited long enough for a worker; the machine sets it. `principal` is who asks. What is in the lane
    `BATCH` gets the workers that nobody else wants.
    """

    pool: str
    model: str
    model_key: str
    member: Any
    body_bytes: int
    deadline: float
    arrived: float
    reply_to: Any = None
    pinned: bool = False
    principal: str = ""
    lane: Lane = Lane.LIVE
    sent: float = 0.0
    gives_up: float = 0.0
    attempts: int = 0
    answered: bool = False


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """How one loaded model may be called: `max_requests` 1 means never two requests in one predict call."""

    model: str
    max_requests: int
    current: bool = True


@dataclass(frozen=True, slots=True)
class Generation:
    """One set of loaded models of a pool; every worker of the generation serves all of them.

    `workers` names those that take requests (None: all that are connected); one that is no longer among them answers
    what it holds and leaves. `model_share` is how many of them one model may hold at once; 0 means all.
    """

    pool: str
    number: int
    models: Mapping[str, ModelPolicy] = field(default_factory=dict)
    workers: frozenset[str] | None = None
    model_share: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one pool. Queue bounds are for each model and count what waits, not what a worker holds.

    `kill_after_s` is how long a call must have lasted before its worker is killed for a deadline, `abandon_after_s`
    how long a worker may be busy for callers who have all gone.
    """

    queue_max_requests: int = 1024
    queue_max_bytes: int = 128 << 20
    queue_wait_s: float = 10.0
    batch_max_requests: int = 1024
    batch_max_bytes: int = 1 << 20
    spread_above_s: float = 0.002
    kill_after_s: float = 1.0
    abandon_after_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Send:
    """Write this batch to that worker; all requests are for `model_key`."""

    worker: str
    batch: int
    model_key: str
    requests: list[Request]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer this request now, with this refusal."""

    request: Request
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Kill:
    """Have this worker killed: it is still busy with a call whose deadline has passed, or whose callers have gone."""

    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection to this worker: its generation is over and nothing needs it any more."""

    worker: str


Instruction = Send | Refuse | Kill | Close
