"""The console's cookie, which counts only in a request that a page of this server made.

Owns the cookie's name and the defence against other sites. Must not know how sessions are kept.

A browser sends the cookie by itself, also with what a page of another site has it ask for. SameSite alone is not
enough: another port of the same host is the same site. So the browser must say that the page is ours.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from auth.console_sessions import ConsoleSession, ConsoleStore
from auth.errors import CrossSite, Unauthenticated
from auth.principal import BUILT_IN, Allowance, Principal

COOKIE: Final = "__Host-tandem"
"""Name of the console's cookie.

Browsers take this prefix over https or on this machine alone, and from no other host.
"""


class SessionCookie:
    """Recognises the bearer of the console's cookie."""

    def __init__(
        self,
        sessions: ConsoleStore,
        allowances: Callable[[str, str, Iterable[str]], tuple[Allowance, ...]],
        groups: Callable[[str], tuple[str, ...]],
        is_provider: Callable[[str], bool],
    ) -> None:
        self._groups = groups
        self._sessions = sessions
        self._allowances = allowances
        self._is_provider = is_provider

    def principal(self, headers: Mapping[bytes, bytes], now: float) -> Principal:
        """The principal of a request without any other credential; raise `Unauthenticated` or `CrossSite`."""
        secret = value(headers, COOKIE)
        if secret is None:
            raise Unauthenticated("missing")
        refuse_other_sites(headers)
        session = self._sessions.find(secret, now)
        if session is None or not (session.provider is None or self._is_provider(session.provider)):
            raise Unauthenticated("revoked")
        return Principal(
            name=session.name,
            kind="person",
            role=" ".join(session.roles),
            via="session",
            credential=session.id,
            expires_at=session.expires_at,
            allowances=self._allowed(session),
            signed_in_at=session.signed_in_at,
            groups=session.groups if session.provider else self._groups(session.name),
        )

    def _allowed(self, session: ConsoleSession) -> tuple[Allowance, ...]:
        if session.provider is None:
            return self._allowances(session.name, session.roles[0], ())
        said = (Allowance(BUILT_IN[role]) for role in session.roles if role in BUILT_IN)
        return (*said, *self._allowances(session.name, "none", session.groups))


def refuse_other_sites(headers: Mapping[bytes, bytes]) -> None:
    """Raise `CrossSite` unless the browser says that a page of this very host made the request."""
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        ours = site == b"same-origin"
    else:
        ours = _host_of(headers.get(b"origin", b"")) == headers.get(b"host", b"").decode("latin-1").lower() != ""
    if not ours:
        raise CrossSite


def value(headers: Mapping[bytes, bytes], name: str) -> str | None:
    """A cookie's value; None where it is absent or there twice."""
    pairs = (pair.strip().partition("=") for pair in headers.get(b"cookie", b"").decode("latin-1").split(";"))
    found = [value for cookie, _, value in pairs if cookie == name]
    return found[0] if len(found) == 1 and found[0] else None


def _host_of(origin: bytes) -> str:
    try:
        split = urlsplit(origin.decode("latin-1"))
    except ValueError:
        return ""
    return split.netloc.lower() if split.scheme in ("http", "https") else ""
