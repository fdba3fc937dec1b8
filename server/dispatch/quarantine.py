"""Requests that have killed two workers are refused for a while, by a digest, instead of being tried again.

Whoever sends several such bodies within a minute to a model is refused at this model for a while: who changes a byte in
each would else kill workers without end. Other models answer him, as it may be the model that is broken.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b

from server.dispatch.messages import Request
from server.wire.frames import Member, Pieces

QUARANTINE_S = 60.0
MAX_DIGESTS = 1024
MAX_CRASHES = 5
"""Bodies of one principal for one model that kill two workers each within QUARANTINE_S, before both are kept apart."""


class Quarantine:
    """The digests that are refused, each with the time (seconds, the shell's clock) until which it is."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}
        self._crashes: dict[tuple[str, str], deque[float]] = {}
        """When bodies were added, the last MAX_CRASHES of each principal and model."""

    def add(self, request: Request, now: float) -> None:
        """Refuse this request's like from now on."""
        who = request.principal, request.model
        crashes = self._crashes.pop(who, None) or deque(maxlen=MAX_CRASHES)
        crashes.append(now)
        if len(self._crashes) >= MAX_DIGESTS:
            del self._crashes[next(iter(self._crashes))]
        self._crashes[who] = crashes
        if len(self._until) >= MAX_DIGESTS:
            del self._until[next(iter(self._until))]
        self._until[_digest(request)] = now + QUARANTINE_S

    def bars_s(self, request: Request, now: float) -> float:
        """Seconds for which the sender of this request is still refused at its model; 0 if it is not refused."""
        crashes = self._crashes.get((request.principal, request.model)) if self._crashes else None
        if crashes is None or len(crashes) < MAX_CRASHES or crashes[-1] - crashes[0] > QUARANTINE_S:
            return 0.0
        return max(0.0, crashes[-1] + QUARANTINE_S - now)

    def holds(self, request: Request, now: float) -> bool:
        """Whether this request is refused. Costs nothing while nothing is."""
        if not self._until:
            return False
        digest = _digest(request)
        until = self._until.get(digest)
        if until is not None and until <= now:
            del self._until[digest]
            return False
        return until is not None


def _digest(request: Request) -> bytes:
    """Digest of a request's body. The query is left out: it may ask for another output, or say anything."""
    member: Member = request.member
    digest = blake2b(digest_size=16)
    digest.update(b"%s %d %d " % (request.model_key.encode(), member.content, member.encoding))
    for piece in member.body.pieces if isinstance(member.body, Pieces) else (member.body,):
        digest.update(piece)
    return digest.digest()
