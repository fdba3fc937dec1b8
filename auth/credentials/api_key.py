"""API keys, wherever they stand: as a bearer's token, under Posit's scheme `Key`, or in a header of their own.

Owns that unknown keys and wrong secrets are told apart by nobody, and that a use is noted. Must not know how keys are
kept.
"""

from collections.abc import Callable
from hmac import compare_digest
from math import inf
from typing import Final

from auth.api_keys import Held
from auth.credentials.credential import Recognised, Shown
from auth.endpoint_keys import EndpointKeys
from auth.errors import Unauthenticated
from auth.key_text import KeyText, looks_like_key, read_key
from auth.principal import Principal
from auth.store import AccountStore

REMEMBER_S: Final = 60.0
"""Seconds for which a key is remembered, and so how exact its last use is.

Any change of a key empties what is remembered.
"""
_SCHEMES: Final = (b"bearer", b"key")
_NOBODYS: Final = bytes(32)


class ApiKeyCredentials:
    """Recognises the holder of an API key; calls `on_use` with the key's id, the time and the address."""

    def __init__(
        self,
        accounts: AccountStore,
        on_use: Callable[[str, float, str], None],
        endpoint_keys: EndpointKeys | None = None,
    ) -> None:
        self._accounts = accounts
        self._on_use = on_use
        self._endpoint_keys = endpoint_keys or EndpointKeys()

    def takes(self, shown: Shown) -> bool:
        """Whether this has the shape of a key. In a header that is for keys, whatever stands there is taken."""
        return shown.scheme == b"key" or (shown.scheme in _SCHEMES and looks_like_key(shown.secret))

    async def verify(self, shown: Shown, now: float) -> Recognised:
        """The owner of the key, narrowed to what the key is for."""
        return await self.holder(shown.secret, shown.address, now)

    async def holder(self, secret: bytes, address: str, now: float, user: str = "") -> Recognised:
        """The owner of a key; where Basic names a `user` with it, it has to be the owner."""
        key = read_key(secret)
        if key is None:
            raise Unauthenticated("malformed")
        of_endpoint = self._endpoint_keys.holder(key)
        if of_endpoint is not None:
            if user not in ("", "key", of_endpoint.name):
                raise Unauthenticated("bad_key")
            return Recognised(of_endpoint, inf)
        held = await self._held(key)
        if held.expires_at <= now:
            raise Unauthenticated("expired")
        if user not in ("", "key", held.owner):
            raise Unauthenticated("bad_key")
        allowances = await self._accounts.look(self._accounts.allowances, held.owner, held.role)
        groups = await self._accounts.look(self._accounts.groups, held.owner)
        self._on_use(key.id, now, address)
        principal = Principal(
            name=held.owner,
            kind=held.kind,
            role=held.role,
            via="key",
            credential=key.id,
            expires_at=held.expires_at,
            allowances=allowances,
            groups=groups,
            narrowed=held.narrowed,
        )
        return Recognised(principal, REMEMBER_S, lambda at, seen_from: self._on_use(key.id, at, seen_from))

    async def _held(self, key: KeyText) -> Held:
        held = await self._accounts.look(self._accounts.keys.find, key.id)
        fits = compare_digest(held.digest if held else _NOBODYS, key.digest)
        if held is None or not fits:
            raise Unauthenticated("bad_key")
        return held
