"""Who is signed in to the console where accounts are kept in a file, and nothing can be written.

Owns what the cookie says there: who it is of, signed with the key that the servers share, so that any of them knows it.
Must not know cookies or HTTP. Every time is an argument, in unix seconds.

A session of an account ends with its line in the file, as tokens do. Signing out takes the cookie from the browser; a
copy of it would be good until its end, or until the line or the key is replaced.
"""

from typing import Final, Protocol

from auth.console_sessions import LIFE_S, ConsoleSession, Vouched, digest_of
from auth.errors import Unauthenticated
from auth.sessions import Opened
from auth.store import SessionStore
from auth.tokens import Tokens

PURPOSE: Final = "console"


class Lines(Protocol):
    """What this module needs of a file's accounts."""

    def sign_in(self, name: str, password: str, now: float) -> Opened | None:
        """What stands for an account's line, if the password fits."""

    @property
    def sessions(self) -> SessionStore:
        """What stands for each line of the file."""


class SealedSessions:
    """The console's sessions, each in its own cookie."""

    def __init__(self, lines: Lines, tokens: Tokens) -> None:
        self._lines = lines
        self._tokens = tokens

    def sign_in(self, name: str, password: str, now: float) -> str | None:
        """Begin a session of an account if the password fits; the cookie's value."""
        opened = self._lines.sign_in(name, password, now)
        if opened is None:
            return None
        return self._sealed(Vouched(name, "", (), (), now), opened.session.id, now, now + LIFE_S)

    def open_for_provider(self, person: Vouched, now: float) -> str:
        """Begin a session of somebody whom a provider vouches for; the cookie's value."""
        return self._sealed(person, "", now, now + LIFE_S)

    def find(self, secret: str, now: float) -> ConsoleSession | None:
        """The session of a cookie, unless it is over, or its account's line is gone."""
        try:
            said = self._tokens.unseal(PURPOSE, secret, now)
        except Unauthenticated:
            return None
        roles: tuple[str, ...] = tuple(said.get("roles", "").split())
        if "line" in said:
            session = self._lines.sessions.find(said["line"])
            if session is None:
                return None
            roles = (session.role,)
        times = float(said["signed_in_at"]), float(said["expires_at"])
        return ConsoleSession(digest_of(secret).hex()[:16], said["name"], said.get("provider"), roles, (), *times)

    def groups_of(self, session: str) -> tuple[str, ...]:
        """None: where nothing is kept there are no grants that a group could have."""
        return ()

    def confirm(self, secret: str, name: str, password: str, now: float) -> str | None:
        """Note that the person of a session has shown the password again; the cookie's value from then on."""
        session, opened = self.find(secret, now), self._lines.sign_in(name, password, now)
        if session is None or opened is None:
            return None
        return self._sealed(Vouched(name, "", (), (), now), opened.session.id, now, session.expires_at)

    def end(self, secret: str) -> None:
        """Do nothing: no session is kept that could be ended."""

    def _sealed(self, person: Vouched, line: str, now: float, ends: float) -> str:
        said = {"provider": person.provider, "roles": " ".join(person.roles), "line": line}
        times = {"signed_in_at": str(person.signed_in_at), "expires_at": str(ends)}
        told = {"name": person.name} | times | {name: text for name, text in said.items() if text}
        return self._tokens.seal(PURPOSE, told, now, int(ends - now))
