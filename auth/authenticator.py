"""Finds the principal of a request from its headers, in two steps.

Owns the cache that makes this cheap enough for every request: the first step, `known`, is one digest and one look-up.
Whatever is slow happens once for a credential, in the second step, `recognise`. Must not know kinds of credentials, nor
HTTP beyond the headers that hold them. All of it runs on one thread, the event loop's.

What is remembered is a digest of the header under a key that this process made up, never the header: it may be a
password. Only successes are remembered, so nonsense cannot fill the cache. It is emptied when full, and within about a
second of any revocation in any process, and of any change of the keys that sign tokens. Of a session that somebody
ended, only what is of that session is forgotten: anybody may sign out, again and again.

While the accounts cannot be reached, who is remembered stays so, also where it would have been time for another look;
until whoever counts the changes says that nobody has been able to look for too long.
"""

import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

from auth.credentials.credential import AUTHORIZATION, HEADERS, KEY_HEADERS, Recognised, Verifier, only, shown
from auth.credentials.session_cookie import SessionCookie
from auth.errors import AccountsUnavailable, KeyInUrl, Reason, Throttled, Unauthenticated
from auth.key_text import has_key, key_in
from auth.offload import Look, at_once
from auth.principal import Principal

_MOST_KNOWN: Final = 20_000
_DIGEST_BYTES: Final = 16
_AZURE, _COMMON, _GATEWAY = KEY_HEADERS
_COOKIE: Final = b"cookie"
_WHILE_AWAY_S: Final = 1.0
"""Seconds between two attempts to look up a known caller while the accounts are out of reach."""


def ignore(reason: Reason) -> None:
    """Count no failures: for callers that have none to count."""


class OnRefusal(Protocol):
    """Called at each refusal: why, from where, and which API key it is about."""

    def __call__(self, reason: Reason, address: str, key: str = "") -> None:
        """Take note that somebody was refused."""


def ignore_refusal(reason: Reason, address: str, key: str = "") -> None:
    """Write no audit: for callers that have none."""


class _Known(NamedTuple):
    principal: Principal
    until: float
    recognised: Recognised


class Authenticator:
    """Recognises callers by their credential, of whatever kind it is."""

    def __init__(
        self,
        verifiers: Sequence[Verifier],
        change_counters: Callable[[], object],
        clock: Callable[[], float] = time.time,
        on_failure: Callable[[Reason], None] = ignore,
        on_refusal: OnRefusal = ignore_refusal,
        most_known: int = _MOST_KNOWN,
        cookie: SessionCookie | None = None,
        look: Look = at_once,
        ended: Callable[[], Sequence[str] | None] = tuple,
    ) -> None:
        self._ended = ended
        self._cookie = cookie
        self._look = look
        self._verifiers = verifiers
        self._change_counters = change_counters
        self._clock = clock
        self._on_failure = on_failure
        self._on_refusal = on_refusal
        self._most_known = most_known
        self._known: dict[bytes, _Known] = {}
        # A key for each header, so that what was proven in one is not taken as proven in another. They are copied for
        # each digest, which costs less than half of beginning with the key.
        self._hashes: Final = {
            name: blake2b(key=secrets.token_bytes(32), digest_size=_DIGEST_BYTES) for name in (*HEADERS, _COOKIE)
        }
        self._authorization: Final = self._hashes[AUTHORIZATION]
        self._changes = _changes_now(change_counters)
        self._forgotten = 0

    def known(self, headers: Mapping[bytes, bytes], address: Callable[[], str]) -> Principal | None:
        """The principal of a request whose credential was recognised before and is still good; else None.

        `address` gives the caller's address. It is called where the use of a credential has to be noted.
        """
        value = headers.get(AUTHORIZATION)
        if value is None or _AZURE in headers or _COMMON in headers or _GATEWAY in headers:
            found = only(headers)
            if found is None:
                return None
            digest = self._digest(*found)
        else:
            hashed = self._authorization.copy()
            hashed.update(value)
            digest = hashed.digest()
        known = self._known.get(digest)
        if known is None:
            return None
        now = self._clock()
        if now < known.until or self._tell(digest, known.recognised, now, address):
            return known.principal
        return None

    async def recognise(self, headers: Mapping[bytes, bytes], address: str) -> Principal:
        """The principal of a request; raise `Unauthenticated`, `Throttled` or `TwoCredentials`."""
        try:
            return await self._recognise(headers, address)
        except Unauthenticated as refusal:
            self._on_failure(refusal.reason)
            self._on_refusal(refusal.reason, address)
            raise
        except Throttled:
            self._on_failure("throttled")
            raise

    async def authenticate(self, headers: Mapping[bytes, bytes], address: str) -> Principal:
        """Both steps in one: for callers that may wait for the slow one."""
        return self.known(headers, lambda: address) or await self.recognise(headers, address)

    def refuse_keys(self, query: bytes, address: Callable[[], str]) -> None:
        """Raise `KeyInUrl` where an API key stands in a query; the audit says which one lies in somebody's log now."""
        if has_key(query):
            self._on_failure("key_in_url")
            self._on_refusal("key_in_url", address(), key_in(query))
            raise KeyInUrl

    def forget_if_changed(self) -> None:
        """Drop the cache if anything was revoked or a key taken away; of a session that was ended, what is of it.

        To be called every second, and after a revocation of our own.
        """
        try:
            changes, ended = self._change_counters(), self._ended()
        except AccountsUnavailable:
            self._empty()  # they were out of reach for too long; that is in the log already
            return
        except Exception:
            self._empty()  # what cannot be checked must not be trusted
            raise
        if changes != self._changes or ended is None:
            self._empty()
            self._changes = changes
        elif ended:
            self._forget(frozenset(ended))

    async def _recognise(self, headers: Mapping[bytes, bytes], address: str) -> Principal:
        found = only(headers)
        if found is None:
            return await self._by_cookie(headers)
        digest, now = self._digest(*found), self._clock()
        sent = shown(*found, address)
        verifier = next((one for one in self._verifiers if one.takes(sent)), None)
        if verifier is None:
            raise Unauthenticated("malformed")
        return await self._by(digest, verifier.verify(sent, now))

    async def _by_cookie(self, headers: Mapping[bytes, bytes]) -> Principal:
        """The principal of a browser's session.

        It is looked up each time: pages ask seldom, and signing out counts at once.
        """
        if self._cookie is None or _COOKIE not in headers:
            raise Unauthenticated("missing")
        digest = self._digest(_COOKIE, headers[_COOKIE])
        return await self._by(digest, self._holder(self._cookie, headers))

    async def _holder(self, cookie: SessionCookie, headers: Mapping[bytes, bytes]) -> Recognised:
        return Recognised(await self._look(cookie.principal, headers, self._clock()), 0)

    async def _by(self, digest: bytes, verifying: Coroutine[Any, Any, Recognised]) -> Principal:
        """The principal that was proven; while nothing can be proven, the one that is known from before."""
        forgotten, now = self._forgotten, self._clock()
        try:
            recognised = await verifying
        except AccountsUnavailable:
            known = self._known.get(digest)
            if known is None or known.principal.expires_at <= now:
                raise
            recognised = Recognised(known.principal, _WHILE_AWAY_S)
        if forgotten == self._forgotten:  # else something was revoked meanwhile, and it may have been this
            self._remember(digest, recognised, now)
        return recognised.principal

    def _tell(self, digest: bytes, recognised: Recognised, now: float, address: Callable[[], str]) -> bool:
        """Report that a known credential came again. True if nothing else is left to do for it.

        It is done here and now: a task for each of ten thousand keys in a minute costs more than everything else.
        """
        if recognised.again is None or recognised.principal.expires_at <= now:
            return False
        recognised.again(now, address())
        self._remember(digest, recognised, now)
        return True

    def _remember(self, digest: bytes, recognised: Recognised, now: float) -> None:
        if len(self._known) >= self._most_known and digest not in self._known:
            self._known.clear()
        until = min(recognised.principal.expires_at, now + recognised.remember_s)
        self._known[digest] = _Known(recognised.principal, until, recognised)

    def _digest(self, name: bytes, value: bytes) -> bytes:
        hashed = self._hashes[name].copy()
        hashed.update(value)
        return hashed.digest()

    def _forget(self, sessions: frozenset[str]) -> None:
        for digest in [one for one, known in self._known.items() if known.principal.credential in sessions]:
            del self._known[digest]
        self._forgotten += 1

    def _empty(self) -> None:
        self._known.clear()
        self._forgotten += 1


def _changes_now(change_counters: Callable[[], object]) -> object:
    """The counts of changes. None where the accounts are out of reach, so that any count that comes later differs."""
    try:
        return change_counters()
    except AccountsUnavailable:
        return None
