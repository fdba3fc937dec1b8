"""Access tokens that this server, or one that shares its key, has signed.

Owns that a token ends with the session it was issued for. Must not know how tokens are signed.
"""

from dataclasses import replace
from math import inf

from auth.credentials.credential import Recognised, Shown
from auth.endpoint_keys import EndpointKeys
from auth.errors import Unauthenticated
from auth.principal import OF_KEY, Principal
from auth.store import AccountStore
from auth.tokens import Claims, Tokens


class AccessTokens:
    """Recognises the bearer of one of our access tokens."""

    def __init__(self, accounts: AccountStore, tokens: Tokens, endpoint_keys: EndpointKeys | None = None) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._endpoint_keys = endpoint_keys or EndpointKeys()

    def takes(self, shown: Shown) -> bool:
        """Take whatever a bearer brings: this kind is asked last."""
        return shown.scheme == b"bearer"

    async def verify(self, shown: Shown, now: float) -> Recognised:
        """The principal of a token that is ours and whose session has not ended."""
        claims = self._tokens.verify(shown.secret, now)
        if claims.session.startswith(OF_KEY):
            return Recognised(await self._of_key(claims, now), inf)
        session = await self._accounts.look(self._accounts.sessions.find, claims.session)
        if session is None or session.account != claims.name or session.role != claims.role:
            raise Unauthenticated("revoked")
        if session.expires_at <= now:
            raise Unauthenticated("expired")
        allowances = await self._accounts.look(self._accounts.allowances, session.account, session.role)
        groups = await self._accounts.look(self._accounts.groups, session.account)
        principal = Principal(
            name=session.account,
            kind="peer" if session.role == "peer" else "person",
            role=session.role,
            via="token",
            credential=session.id,
            expires_at=min(claims.expires_at, session.expires_at),
            allowances=allowances,
            groups=groups,
        )
        return Recognised(principal, inf)

    async def _of_key(self, claims: Claims, now: float) -> Principal:
        """The owner of the API key that a token was given for, narrowed as the key is, as long as there is the key."""
        key_id = claims.session.removeprefix(OF_KEY)
        of_endpoint = self._endpoint_keys.of_id(key_id)
        if of_endpoint is not None and of_endpoint.name == claims.name:
            return replace(of_endpoint, via="token", credential=claims.session, expires_at=claims.expires_at)
        held = await self._accounts.look(self._accounts.keys.find, key_id)
        if held is None or (held.owner, held.role) != (claims.name, claims.role):
            raise Unauthenticated("revoked")
        if held.expires_at <= now:
            raise Unauthenticated("expired")
        allowances = await self._accounts.look(self._accounts.allowances, held.owner, held.role)
        groups = await self._accounts.look(self._accounts.groups, held.owner)
        return Principal(
            name=held.owner,
            kind=held.kind,
            role=held.role,
            via="token",
            credential=claims.session,
            expires_at=min(claims.expires_at, held.expires_at),
            allowances=allowances,
            groups=groups,
            narrowed=held.narrowed,
        )
