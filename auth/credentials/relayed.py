"""Callers of another server, which shares our accounts and our key, and passes their requests on to us.

Owns what one server tells the other of a caller: the name, and by which credential it was recognised. Must not know how
requests are passed on. A key, a password or a cookie is shown to one server and goes no further: in its place goes a
token of a minute under a scheme of its own, signed with the key that the servers share. Tokens go along as they came.
"""

from collections.abc import Callable, Mapping
from typing import Final, cast

from auth.console_sessions import ConsoleStore
from auth.credentials.credential import AUTHORIZATION, Recognised, Shown
from auth.endpoint_keys import EndpointKeys
from auth.errors import Unauthenticated
from auth.principal import BUILT_IN, Allowance, Kind, Principal
from auth.store import AccountStore
from auth.tokens import Tokens

PURPOSE: Final = "relay"
LIFE_S: Final = 60
_LEFT_S: Final = 15.0
"""So much of its life a token has left when it is sent: clocks differ, and a request takes its time."""
_SCHEME: Final = b"tandem"
_GO_ALONG: Final = ("token", "provider")
_MOST_SIGNED: Final = 10_000


class RelayTokens:
    """Tells other servers who a caller is. What is signed of a caller is used again while it is good."""

    def __init__(self, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._clock = clock
        self._signed: dict[Principal, tuple[bytes, float]] = {}

    def authorization(self, principal: Principal, headers: Mapping[bytes, bytes]) -> bytes:
        """The header by which another server recognises who sent these `headers` to us."""
        if principal.via in _GO_ALONG:
            return headers.get(AUTHORIZATION, b"")
        now = self._clock()
        value, until = self._signed.get(principal, (b"", 0.0))
        if not _LEFT_S <= until - now <= LIFE_S:
            if len(self._signed) >= _MOST_SIGNED:
                self._signed.clear()
            value, until = self._sign(principal, now), now + LIFE_S
            self._signed[principal] = value, until
        return value

    def _sign(self, principal: Principal, now: float) -> bytes:
        said = {"name": principal.name, "kind": principal.kind, "role": principal.role}
        said |= {"via": principal.via, "credential": principal.credential, "until": str(now + LIFE_S)}
        return _SCHEME + b" " + self._tokens.seal(PURPOSE, said, now, LIFE_S).encode()


class RelayedCallers:
    """Recognises callers of whom another server tells."""

    def __init__(
        self,
        accounts: AccountStore,
        console: ConsoleStore,
        tokens: Tokens,
        endpoint_keys: EndpointKeys | None = None,
    ) -> None:
        self._accounts = accounts
        self._console = console
        self._tokens = tokens
        self._endpoint_keys = endpoint_keys or EndpointKeys()

    def takes(self, shown: Shown) -> bool:
        """Whatever comes under the scheme of servers of ours."""
        return shown.scheme == _SCHEME

    async def verify(self, shown: Shown, now: float) -> Recognised:
        """Whom the other server has recognised, with what they are allowed now, while their key or session is there."""
        said = self._tokens.unseal(PURPOSE, shown.secret.decode("latin-1"), now)
        look, name, roles = self._accounts.look, said["name"], said["role"].split()
        groups, narrowed = await look(self._accounts.groups, name), None
        if said["via"] == "key":
            narrowed = await look(self._narrowed, said["credential"], name)
        elif said["via"] == "session":
            groups = (*groups, *await look(self._groups, said["credential"]))
        own = next((role for role in roles if role not in BUILT_IN), "none")
        principal = Principal(
            name=name,
            kind=cast(Kind, said["kind"]),
            role=said["role"],
            via=said["via"],
            credential=said["credential"],
            expires_at=float(said["until"]),
            allowances=(
                *(Allowance(BUILT_IN[role]) for role in roles if role in BUILT_IN),
                *await look(self._accounts.allowances, name, own, groups),
            ),
            narrowed=narrowed,
            groups=groups,
        )
        return Recognised(principal, LIFE_S)

    def _narrowed(self, key: str, owner: str) -> Allowance | None:
        of_endpoint = self._endpoint_keys.of_id(key)
        if of_endpoint is not None and of_endpoint.name == owner:
            return of_endpoint.narrowed
        held = self._accounts.keys.find(key)
        if held is None or held.owner != owner:
            raise Unauthenticated("revoked")
        return held.narrowed

    def _groups(self, session: str) -> tuple[str, ...]:
        groups = self._console.groups_of(session)
        if groups is None:
            raise Unauthenticated("revoked")
        return groups
