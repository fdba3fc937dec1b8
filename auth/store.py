"""What the rest of auth asks of accounts, wherever they are kept.

Owns what an account is and which names it may have. Must not know how accounts are kept: in a database (`accounts.py`)
or in a file (`account_file.py`). Every time is an argument, in unix seconds.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from auth.api_keys import KeyStore
from auth.audit import AuditStore
from auth.console_sessions import ConsoleStore
from auth.errors import AccountError
from auth.limits.limit import LimitStore
from auth.limits.usage import UsageStore
from auth.offload import Look
from auth.policy import PolicyStore
from auth.principal import Allowance, Kind, Permission, is_pattern
from auth.sessions import Opened, Session

NewAccountKind = Literal["person", "service"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in, or a service that has keys. `created_at` is None where it was not written down."""

    name: str
    role: str
    created_at: float | None = None
    kind: Kind = "person"
    disabled: bool = False
    about: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What is to be changed of an account. What is None stays as it is."""

    role: str | None = None
    disabled: bool | None = None
    about: str | None = None
    groups: tuple[str, ...] | None = None


class SessionStore(Protocol):
    """Where sessions are kept."""

    def find(self, session: str) -> Session | None:
        """The session of this id, unless it was ended. The caller compares `expires_at`."""

    def rotate(self, refresh_token: str, now: float) -> Opened:
        """Spend a refresh token for the next one; raise `Unauthenticated`, or `NoRefreshTokens`."""

    def revoke(self, refresh_token: str) -> None:
        """End the session of a refresh token; raise `NoRefreshTokens` where there are none."""


class AccountStore(Protocol):
    """Where accounts and their sessions are kept. A change that cannot be made raises `AccountError`."""

    @property
    def sessions(self) -> SessionStore:
        """The accounts' sessions."""

    @property
    def console(self) -> ConsoleStore | None:
        """The console's sessions; None where they are not kept, because each cookie has its own."""

    @property
    def keys(self) -> KeyStore:
        """The accounts' API keys."""

    @property
    def policy(self) -> PolicyStore:
        """The roles that administrators have made, and the grants."""

    @property
    def limits(self) -> LimitStore:
        """The limits on how much principals may ask for."""

    @property
    def usage(self) -> UsageStore:
        """How much principals have asked for."""

    @property
    def audit(self) -> AuditStore:
        """The audit of what was done to accounts, and by whom."""

    @property
    def look(self) -> Look:
        """How the event loop puts a question to this store, so that it is not held up."""

    def close(self) -> None:
        """Close the files and connections."""

    def list(self) -> tuple[Account, ...]:
        """Every account, by name."""

    def find(self, name: str) -> Account | None:
        """The account of this name."""

    def groups(self, name: str) -> tuple[str, ...]:
        """The groups of our own that an account is in."""

    def allowances(self, name: str, role: str, groups: Iterable[str] = ()) -> tuple[Allowance, ...]:
        """All that somebody of this name and role is allowed, in these groups and in those of the account."""

    def add(self, name: str, role: str, password: str, now: float) -> Account:
        """Create an account."""

    def add_service(self, name: str, role: str, now: float) -> Account:
        """Create an account that has no password, for a program."""

    def change(self, name: str, change: AccountChange) -> Account:
        """Change an account, and return it as it is then."""

    def remove(self, name: str) -> None:
        """Remove an account, and end its sessions and keys."""

    def set_password(self, name: str, password: str, but: str = "") -> None:
        """Change a password and end the account's sessions, except the one of the id `but`."""

    def end_sessions(self, name: str) -> None:
        """End the sessions of an account, of programs and browsers; its keys stay."""

    def sign_in(self, name: str, password: str, now: float) -> Opened | None:
        """Begin a session if the password fits. An unknown name takes as long as a known one."""

    def check(self, name: str, password: str) -> Account | None:
        """The account, if the password fits, without a session. An unknown name takes as long as a known one."""

    def open_session(self, name: str, now: float) -> Opened:
        """Begin a session without a password: for a caller that may read what the accounts are kept in."""

    def away_s(self) -> float:
        """Seconds for which nothing could be looked up here; 0 while that works."""

    def change_counter(self) -> int:
        """A number that differs from the one before if a recognised caller may be so no longer.

        It is cheap to ask for.
        """

    def ended_sessions(self) -> Sequence[str] | None:
        """The sessions that any process has ended since this was asked last; None if some of them are not known."""


def narrowing(permissions: Sequence[Permission], targets: Sequence[str]) -> Allowance:
    """What a key is for; raise `AccountError` for a pattern that is none."""
    if not all(map(is_pattern, targets)):
        raise AccountError("bad_pattern")
    return Allowance(frozenset(permissions), tuple(dict.fromkeys(targets)))


def is_name(name: str) -> bool:
    """Whether an account may have this name. It begins with a letter or a digit, so `..` and `-h` are none."""
    return _NAME.fullmatch(name) is not None
