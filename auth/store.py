"""What the rest of auth asks of accounts, wherever they are kept.

Owns what an account is and which names it may have. Must not know how accounts are kept: in a database (`accounts.py`)
or in a file (`account_file.py`). Every time is an argument, in unix seconds.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from auth.console_sessions import ConsoleSessions
from auth.principal import Allowance, Kind
from auth.sessions import Opened, Session

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in, or a service that has keys. `created_at` is None where nobody wrote it down."""

    name: str
    role: str
    created_at: float | None = None
    kind: Kind = "person"
    disabled: bool = False
    about: str = ""


class SessionStore(Protocol):
    """Which sessions there are."""

    def find(self, session: str) -> Session | None:
        """The session of this id, unless it was ended. The caller compares `expires_at`."""

    def rotate(self, refresh_token: str, now: float) -> Opened:
        """Spend a refresh token for the next one; raise `Unauthenticated`, or `NoRefreshTokens`."""

    def revoke(self, refresh_token: str) -> None:
        """End the session of a refresh token; raise `NoRefreshTokens` where there are none."""


class AccountStore(Protocol):
    """The accounts, and their sessions. What changes an account raises `AccountError` where that cannot be."""

    @property
    def sessions(self) -> SessionStore:
        """Their sessions."""

    @property
    def console(self) -> ConsoleSessions | None:
        """Who is signed in to the console; None where that is not kept."""

    def close(self) -> None:
        """Let go of what is open."""

    def list(self) -> tuple[Account, ...]:
        """Every account, by name."""

    def allowances(self, name: str, role: str) -> tuple[Allowance, ...]:
        """What an account of this name and role is allowed."""

    def add(self, name: str, role: str, password: str, now: float) -> Account:
        """Create an account."""

    def remove(self, name: str) -> None:
        """Remove an account and end its sessions."""

    def set_password(self, name: str, password: str) -> None:
        """Change a password and end the account's sessions."""

    def sign_in(self, name: str, password: str, now: float) -> Opened | None:
        """Begin a session if the password fits. Takes as long for a name that is not known."""

    def open_session(self, name: str, now: float) -> Opened:
        """Begin a session without a password, for whoever may read what the accounts are kept in."""

    def change_counter(self) -> int:
        """Differs from before if something that was recognised may be so no longer. Cheap enough for every second."""


def is_name(name: str) -> bool:
    """Whether an account may have this name. It begins with a letter or digit, so `..` and `-h` are none."""
    return _NAME.fullmatch(name) is not None
