"""Requests that have killed two workers, by a digest of what they ask: refused for a while instead of tried again."""

from __future__ import annotations

from hashlib import blake2b

from server.dispatch.messages import Request
from server.wire.frames import Member, Pieces

QUARANTINE_S = 60.0
MAX_DIGESTS = 1024


class Quarantine:
    """The digests that are refused, each with the time (seconds, the shell's clock) until which it is."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    def add(self, request: Request, now: float) -> None:
        """Refuse this request's like from now on."""
        if len(self._until) >= MAX_DIGESTS:
            del self._until[next(iter(self._until))]
        self._until[_digest(request)] = now + QUARANTINE_S

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
    member: Member = request.member
    digest = blake2b(digest_size=16)
    for part in (request.model_key.encode(), b"%d %d " % (member.content, member.encoding), member.query):
        digest.update(b"%d " % len(part))
        digest.update(part)
    for piece in member.body.pieces if isinstance(member.body, Pieces) else (member.body,):
        digest.update(piece)
    return digest.digest()
