"""Access tokens for API keys: OAuth2's `client_credentials`, the key being the client's secret.

Owns that such a token may do what the key may, and ends with it. Must not know HTTP. A program that hands work to
others gives them the token, which is over within the hour, and keeps the key.
"""

import time
from collections.abc import Callable
from typing import Final

from auth.audit import Act
from auth.authenticator import OnRefusal, ignore, ignore_refusal
from auth.credentials.api_key import ApiKeyCredentials
from auth.errors import Reason, Unauthenticated
from auth.login import Grant, Login
from auth.principal import OF_KEY
from auth.store import AccountStore
from auth.tokens import Tokens


class KeyExchange:
    """Gives an access token for an API key."""

    def __init__(
        self,
        accounts: AccountStore,
        keys: ApiKeyCredentials,
        tokens: Tokens,
        login: Login,
        clock: Callable[[], float] = time.time,
        on_failure: Callable[[Reason], None] = ignore,
        on_refusal: OnRefusal = ignore_refusal,
    ) -> None:
        self._accounts = accounts
        self._keys = keys
        self._tokens: Final = tokens
        self._login = login
        self._clock = clock
        self._on_failure = on_failure
        self._on_refusal = on_refusal

    async def token(self, user: str, secret: str, address: str) -> Grant:
        """A token as narrow as the key `secret`, of its owner `user`; raise `Unauthenticated` or `Throttled`."""
        now = self._clock()
        try:
            holder = (await self._keys.holder(secret.encode(errors="replace"), address, now, user)).principal
        except Unauthenticated as refusal:
            self._on_failure(refusal.reason)
            self._on_refusal(refusal.reason, address)
            raise
        act = Act("token.issued", holder.name, more={"key": holder.credential}, who=holder.name)
        await self._login.writing.run(self._accounts.audit.write, act, now)
        token = self._tokens.issue(holder.name, holder.role, OF_KEY + holder.credential, now, holder.expires_at)
        return Grant(token, int(min(self._tokens.lifetime_s, holder.expires_at - now)), None)
