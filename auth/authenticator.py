"""From an Authorization header to a principal.

Owns the cache that makes this cheap enough for every request: the header's bytes lead straight to the principal, and
only its expiry is compared. Must not know HTTP beyond that one header. Everything here runs on one thread, the event
loop's, so a look-up and what it caches cannot be overtaken by `forget_if_changed`.

Only successes are remembered, so nonsense cannot fill the cache. It is emptied when full, and within about a second of
any revocation in any process, and of any change of the keys.
"""

import time
from collections.abc import Callable
from typing import Final

from auth.errors import Reason, Unauthenticated
from auth.principal import Principal
from auth.store import AccountStore
from auth.tokens import Tokens

_MOST_KNOWN: Final = 10_000


def ignore(reason: Reason) -> None:
    """For callers that count no failures."""


class Authenticator:
    """Recognises callers by their access token."""

    def __init__(
        self,
        accounts: AccountStore,
        tokens: Tokens,
        clock: Callable[[], float] = time.time,
        on_failure: Callable[[Reason], None] = ignore,
        most_known: int = _MOST_KNOWN,
    ) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._clock = clock
        self._on_failure = on_failure
        self._most_known = most_known
        self._known: dict[bytes | None, Principal] = {}
        self._changes = self._change_counters()

    def authenticate(self, authorization: bytes | None) -> Principal:
        """The principal of an Authorization header; raise `Unauthenticated` if it names none."""
        now = self._clock()
        principal = self._known.get(authorization)
        if principal is not None and now < principal.expires_at:
            return principal
        try:
            principal = self._recognise(authorization, now)
        except Unauthenticated as refusal:
            self._on_failure(refusal.reason)
            raise
        if len(self._known) >= self._most_known:
            self._known.clear()
        self._known[authorization] = principal
        return principal

    def forget_if_changed(self) -> None:
        """Drop the cache if anything was revoked or a key taken away.

        To be called every second, and after a revocation of our own.
        """
        try:
            changes = self._change_counters()
        except Exception:
            self._known.clear()  # what cannot be checked must not be trusted
            raise
        if changes != self._changes:
            self._known.clear()
            self._changes = changes

    def _change_counters(self) -> tuple[int, int]:
        return self._accounts.change_counter(), self._tokens.change_counter()

    def _recognise(self, authorization: bytes | None, now: float) -> Principal:
        claims = self._tokens.verify(_bearer_token(authorization), now)
        session = self._accounts.sessions.find(claims.session)
        if session is None or session.account != claims.name or session.role != claims.role:
            raise Unauthenticated("revoked")
        if session.expires_at <= now:
            raise Unauthenticated("expired")
        return Principal(session.account, session.role, session.id, min(claims.expires_at, session.expires_at))


def _bearer_token(authorization: bytes | None) -> bytes:
    if not authorization:
        raise Unauthenticated("missing")
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise Unauthenticated("malformed")
    return token
