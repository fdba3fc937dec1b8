"""Signing in, staying signed in, signing out.

Owns the password and refresh grants: what is tried where, how often, and what comes back. Must not know HTTP. Neither
argon2 nor a write to disk runs on the event loop. The two have queues of their own, so a flood of sign-ins does not
keep those who are signed in from refreshing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from auth.authenticator import ignore
from auth.backoff import Backoff
from auth.errors import Reason, Throttled, Unauthenticated
from auth.offload import Offload
from auth.sessions import Opened
from auth.store import AccountStore, is_name
from auth.tokens import Tokens

# An address has more free attempts than an account: a whole office may share it. Neither wait is longer than a minute,
# or failing on purpose would lock others out.
_FREE_PER_ACCOUNT: Final = 5
_FREE_PER_ADDRESS: Final = 20


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client gets for signing in or refreshing."""

    access_token: str
    expires_in_s: int
    refresh_token: str | None


class Login:
    """The grants, with their limits."""

    def __init__(
        self,
        accounts: AccountStore,
        tokens: Tokens,
        clock: Callable[[], float] = time.time,
        on_failure: Callable[[Reason], None] = ignore,
    ) -> None:
        self.hashing: Final = Offload("argon2", threads=2, waiting=16)
        self.writing: Final = Offload("accounts", threads=1, waiting=256)
        self._accounts = accounts
        self._tokens = tokens
        self._clock = clock
        self._on_failure = on_failure
        self._names = Backoff(_FREE_PER_ACCOUNT)
        self._addresses = Backoff(_FREE_PER_ADDRESS)

    def close(self) -> None:
        """Finish what runs."""
        self.hashing.close()
        self.writing.close()

    async def password(self, name: str, password: str, address: str) -> Grant:
        """Sign in; raise `Unauthenticated` or `Throttled`."""
        try:
            return await self._password(name, password, _network(address))
        except Unauthenticated as refusal:
            self._on_failure(refusal.reason)
            raise
        except Throttled:
            self._on_failure("throttled")
            raise

    async def refresh(self, refresh_token: str) -> Grant:
        """Continue a session; raise `Unauthenticated`, `Throttled` or `NoRefreshTokens`."""
        now = self._clock()
        try:
            opened = await self.writing.run(self._accounts.sessions.rotate, refresh_token, now)
        except Unauthenticated as refusal:
            self._on_failure(refusal.reason)
            raise
        return self._grant(opened, now)

    async def revoke(self, refresh_token: str) -> None:
        """End the session of a refresh token, if there is one; raise `Throttled` or `NoRefreshTokens`."""
        await self.writing.run(self._accounts.sessions.revoke, refresh_token)

    async def _password(self, name: str, password: str, network: str) -> Grant:
        now = self._clock()
        self._addresses.attempt(network, now)
        if not is_name(name):  # says nothing about who exists, and keeps long names out of our memory
            raise Unauthenticated("bad_password")
        self._names.attempt(name, now)
        try:
            opened = await self.hashing.run(self._accounts.sign_in, name, password, now)
        except Throttled:  # our queue is full, which is no fault of theirs
            self._names.take_back(name)
            self._addresses.take_back(network)
            raise
        if opened is None:
            raise Unauthenticated("bad_password")
        # The address keeps its other failures: one good account must not buy guesses at all others.
        self._names.forget(name)
        self._addresses.take_back(network)
        return self._grant(opened, now)

    def _grant(self, opened: Opened, now: float) -> Grant:
        session = opened.session
        access_token = self._tokens.issue(session.account, session.role, session.id, now)
        return Grant(access_token, self._tokens.lifetime_s, opened.refresh_token)


def _network(address: str) -> str:
    """What one client controls: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a test client, a Unix socket
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or (int(parsed) >> 64))
