"""The mirror: copies of requests that were answered, asked again of a deployment whose answers nobody gets.

Owns which requests are copied, and when. Live requests come first: a copy is made after the answer has gone, one at a
time for each deployment, while workers are idle beyond the one that the next live request needs. It is never retried.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from server.collect_metrics import MirrorMetrics
from server.dispatch.dispatcher import Dispatcher, Refused, Scored
from server.dispatch.messages import Lane, Request
from server.web.scoring.target import Behind
from server.wire.frames import ReplyCode
from server.wire.snapshot import Entry, Snapshot

NOBODY: Final = "mirror of "
"""Who asks for copies, by the name of their endpoint: no account can have it, so none answers for what a copy does."""
ATTEMPTED: Final = 1
"""A copy counts as tried once: the loss of its worker is its end."""
_SPREAD: Final = 0x85EBCA6B
_TOP: Final = 1 << 32


class OnCompared(Protocol):
    """What is told of a copy that was answered, beside the answer that its caller got."""

    def compared(self, live: Request, by: Behind, said: Scored, copy: Request, of: Behind, answer: Scored) -> None:
        """Both have been answered."""


@dataclass(slots=True)
class _Mirrored:
    """Where the copies of an endpoint's requests go."""

    behind: Behind
    entry: Entry
    dispatcher: Dispatcher
    threshold: int
    timeout_s: float
    asked: bool = field(default=False)
    """Whether a copy is on its way."""


class Mirror:
    """The copies that this web process makes."""

    def __init__(self, metrics: MirrorMetrics, told: OnCompared) -> None:
        self.on = False
        """Whether any endpoint has a mirror. Where none has, a request pays for the look at this, and no more."""
        self._metrics = metrics
        self._told = told
        self._of: dict[str, _Mirrored] = {}

    def switch(self, snapshot: Snapshot, dispatchers: Mapping[str, Dispatcher], timeout_s: float) -> None:
        """Make copies as this catalog says."""
        before, self._of = self._of, mirrored(snapshot, dispatchers, timeout_s)
        for name, one in self._of.items():
            one.asked = name in before and before[name].asked and before[name].behind == one.behind
        self.on = bool(self._of)

    def offer(self, request: Request, behind: Behind, scored: Scored) -> None:
        """A worker has answered a request of an endpoint, and its caller has the answer."""
        to = self._of.get(behind.endpoint)
        if to is None or to.behind == behind or not _chosen(request.member.request_id, to.threshold):
            return
        state = to.dispatcher.state
        idle = state.workers - len(state.busy)
        if to.asked or state.queued_requests or idle < 1 + (request.pool == to.entry.pool):
            self._metrics.count(to.behind, "busy")
            return
        now = time.monotonic()
        copy = Request(
            pool=to.entry.pool,
            model=to.entry.name,
            model_key=to.entry.model_key,
            member=request.member,
            body_bytes=request.body_bytes,
            deadline=now + to.timeout_s,
            arrived=now,
            pinned=True,
            principal=NOBODY + behind.endpoint,
            attempts=ATTEMPTED,
            lane=Lane.BATCH,
        )
        copy.reply_to = _Copy(self, to, copy, request, behind, scored)
        to.asked = True
        try:
            to.dispatcher.submit(copy)
        except Refused as refused:
            self.ended(to.behind, refused.refusal.value)

    def answered(self, copied: _Copy, answer: Scored) -> None:
        """A copy has been answered."""
        to = copied.to
        self.ended(to.behind, "answered" if answer.result.code == ReplyCode.OK else "failed")
        self._told.compared(copied.live, copied.by, copied.said, copied.copy, to.behind, answer)

    def ended(self, behind: Behind, outcome: str) -> None:
        """A copy has come to its end; the next may go."""
        self._metrics.count(behind, outcome)
        to = self._of.get(behind.endpoint)
        if to is not None and to.behind == behind:
            to.asked = False


class _Copy:
    """What a copy's end is reported to."""

    __slots__ = ("_mirror", "by", "copy", "live", "said", "to")

    def __init__(self, mirror: Mirror, to: _Mirrored, copy: Request, live: Request, by: Behind, said: Scored) -> None:
        self._mirror = mirror
        self.to = to
        self.copy, self.live, self.by, self.said = copy, live, by, said

    def scored(self, scored: Scored) -> None:
        """A worker has answered."""
        self._mirror.answered(self, scored)

    def failed(self, error: Exception) -> None:
        """No worker will answer."""
        self._mirror.ended(self.to.behind, error.refusal.value if isinstance(error, Refused) else "failed")


def mirrored(snapshot: Snapshot, dispatchers: Mapping[str, Dispatcher], timeout_s: float) -> dict[str, _Mirrored]:
    """Where the copies of each endpoint's requests go, if it has a mirror that can answer."""
    found: dict[str, _Mirrored] = {}
    for endpoint in snapshot.endpoints:
        for one in endpoint.deployments:
            share = endpoint.mirror_traffic.get(one.name, 0)
            wanted = (e for e in snapshot.entries if (e.name, e.version) == (one.model, one.version))
            entry = next((e for e in wanted if e.state == "ready" and not e.remote), None)
            if share and entry is not None:
                limits = (limit for limit in (one.timeout_s, entry.timeout_s, timeout_s) if limit is not None)
                behind = Behind(endpoint.name, one.name)
                threshold = share * _TOP // 100
                found[endpoint.name] = _Mirrored(behind, entry, dispatchers[entry.pool], threshold, min(limits))
    return found


def _chosen(request_id: bytes, threshold: int) -> bool:
    """Whether a request is one of the share. Not by the hash that samples: a share of a share would be all or none."""
    return zlib.crc32(request_id) * _SPREAD % _TOP < threshold
