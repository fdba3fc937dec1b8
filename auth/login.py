"""Signing in, staying signed in, signing out.

Owns the password and refresh grants: what is tried where, how often, and what comes back. Must not know HTTP. Neither
argon2 nor a write to disk runs on the event loop. The two have queues of their own, so a flood of sign-ins does not
keep those who are signed in from refreshing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, Final, ParamSpec, TypeVar

from auth.authenticator import OnRefusal, ignore, ignore_refusal
from auth.backoff import Backoff
from auth.errors import AccountsUnavailable, Reason, Throttled, Unauthenticated
from auth.network import network_of
from auth.offload import Offload
from auth.sessions import Opened
from auth.store import Account, AccountStore, is_name
from auth.tokens import Tokens

# An address has more free attempts than an account: a whole office may share it. Neither wait is longer than a minute,
# or failing on purpose would lock others out.
_FREE_PER_ACCOUNT: Final = 5
_FREE_PER_ADDRESS: Final = 20
_MOST_HOMES: Final = 10_000


P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client gets for signing in or refreshing."""

    access_token: str
    expires_in_s: int
    refresh_token: str | None


class Login:
    """The grants of OAuth2 (password and refresh token), with limits on attempts."""

    def __init__(
        self,
        accounts: AccountStore,
        tokens: Tokens,
        clock: Callable[[], float] = time.time,
        on_failure: Callable[[Reason], None] = ignore,
        on_refusal: OnRefusal = ignore_refusal,
        takes_passwords: bool = True,
    ) -> None:
        self.takes_passwords: Final = takes_passwords
        self.hashing: Final = Offload("argon2", threads=2, waiting=16, gives_way=True)
        self.writing: Final = Offload("accounts", threads=1, waiting=256)
        self._accounts = accounts
        self._tokens = tokens
        self._clock = clock
        self._on_failure = on_failure
        self._on_refusal = on_refusal
        self._names = Backoff(_FREE_PER_ACCOUNT)
        self._addresses = Backoff(_FREE_PER_ADDRESS)
        self._homes: dict[tuple[str, str], None] = {}  # oldest first

    def close(self) -> None:
        """Finish the work that is running."""
        self.hashing.close()
        self.writing.close()

    async def password(self, name: str, password: str, address: str) -> Grant:
        """Sign in; raise `Unauthenticated` or `Throttled`."""
        now = self._clock()
        return self._grant(await self.prove(self._accounts.sign_in, name, password, address), now)

    async def prove(self, attempt: Callable[[str, str, float], T | None], name: str, password: str, address: str) -> T:
        """What an attempt gives for a name and a password. It is counted; raise `Unauthenticated` or `Throttled`."""
        try:
            return await self._limited(name, network_of(address), attempt, password, self._clock())
        except Unauthenticated as refusal:
            self._on_failure(refusal.reason)
            self._on_refusal(refusal.reason, address)
            raise
        except Throttled:
            self._on_failure("throttled")
            self._on_refusal("throttled", address)
            raise

    async def check(self, name: str, password: str, address: str) -> Account:
        """The account whose password this is, under the limits of signing in.

        Raise `Unauthenticated` or `Throttled`.
        """
        return await self._limited(name, network_of(address), self._accounts.check, password)

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

    async def _limited(
        self, name: str, network: str, attempt: Callable[Concatenate[str, P], T | None], *rest: P.args, **more: P.kwargs
    ) -> T:
        """What an attempt gives that needs a password. It is counted before it is made."""
        if not self.takes_passwords:
            raise Unauthenticated("password_not_taken")
        now = self._clock()
        self._addresses.attempt(network, now)
        if not is_name(name):  # says nothing about who exists, and keeps long names out of our memory
            raise Unauthenticated("bad_password")
        counted = self._counted(name, network)
        self._names.attempt(counted, now)
        try:
            given = await self.hashing.run(attempt, name, *rest, **more)
        except (AccountsUnavailable, Throttled):  # nobody looked, or our queue is full: no fault of theirs
            self._names.take_back(counted)
            self._addresses.take_back(network)
            raise
        if given is None:
            raise Unauthenticated("bad_password")
        # The address keeps its other failures: one good account must not buy guesses at all others.
        self._names.forget(counted)
        self._addresses.take_back(network)
        self._note_home(name, network)
        return given

    def _counted(self, name: str, network: str) -> str:
        """The name against which failures are counted.

        A network that has signed in to this account has a count of its own. Otherwise an attacker who fails on purpose,
        from anywhere, could keep the owner of an account out.
        """
        return f"{name} {network}" if (name, network) in self._homes else name  # no name has a space

    def _note_home(self, name: str, network: str) -> None:
        self._homes.pop((name, network), None)
        if len(self._homes) >= _MOST_HOMES:
            del self._homes[next(iter(self._homes))]
        self._homes[name, network] = None

    def _grant(self, opened: Opened, now: float) -> Grant:
        session = opened.session
        access_token = self._tokens.issue(session.account, session.role, session.id, now)
        return Grant(access_token, self._tokens.lifetime_s, opened.refresh_token)
