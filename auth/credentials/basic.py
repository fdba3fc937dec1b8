"""Basic: for programs that know nothing but a user and a password.

Owns what the password may be: an API key, or, only where that is allowed, the password of an account. Must not know
how either is checked.

A check of a password takes 30 ms in a thread. It is made once in ten minutes for a header; requests that come meanwhile
wait for the one check, and a wrong password is remembered for a minute, so that a program which goes on asking with it
does not keep everybody else from being checked. What is remembered is a digest under a key of this process.
"""

import asyncio
import secrets
from base64 import b64decode
from binascii import Error as NotBase64
from hashlib import blake2b
from typing import Final, Literal

from auth.credentials.api_key import ApiKeyCredentials
from auth.credentials.credential import Recognised, Shown
from auth.errors import Unauthenticated
from auth.key_text import looks_like_key
from auth.login import Login
from auth.principal import Principal
from auth.store import AccountStore

Passwords = Literal["keys", "passwords", "off"]
"""What Basic takes as a password: API keys alone, API keys and passwords of accounts, or nothing."""

REMEMBER_S: Final = 600.0
REMEMBER_WRONG_S: Final = 60.0
_MOST_WRONG: Final = 10_000


class BasicCredentials:
    """Recognises users by what they send as a password under the scheme Basic."""

    def __init__(self, accounts: AccountStore, keys: ApiKeyCredentials, login: Login, takes: Passwords) -> None:
        self._accounts = accounts
        self._keys = keys
        self._login = login
        self._takes = takes
        self._checks: dict[bytes, asyncio.Task[Recognised]] = {}
        self._wrong: dict[bytes, float] = {}  # oldest first
        self._digest_key: Final = secrets.token_bytes(32)

    def takes(self, shown: Shown) -> bool:
        """Whether this was sent under the scheme Basic."""
        return shown.scheme == b"basic" and self._takes != "off"

    async def verify(self, shown: Shown, now: float) -> Recognised:
        """The owner of the key, or the account whose password this is."""
        user, password = _read(shown.secret)
        if looks_like_key(password.encode()):
            return await self._keys.holder(password.encode(), shown.address, now, user)
        if self._takes != "passwords":
            raise Unauthenticated("password_not_taken")
        return await self._once(user, password, shown, now)

    async def _once(self, user: str, password: str, shown: Shown, now: float) -> Recognised:
        """Check a password once for all requests that ask for the same at the time."""
        digest = blake2b(shown.secret, key=self._digest_key, digest_size=16).digest()
        if 0 <= now - self._wrong.get(digest, -REMEMBER_WRONG_S) < REMEMBER_WRONG_S:
            raise Unauthenticated("bad_password")
        check = self._checks.get(digest)
        if check is None:
            check = self._checks[digest] = asyncio.create_task(self._check(user, password, shown.address))
            check.add_done_callback(lambda _: self._checks.pop(digest, None))
        try:
            return await asyncio.shield(check)  # who hangs up does not end it for the others
        except Unauthenticated:
            self._note_wrong(digest, now)
            raise

    async def _check(self, user: str, password: str, address: str) -> Recognised:
        account = await self._login.check(user, password, address)
        allowances = await self._accounts.look(self._accounts.allowances, account.name, account.role)
        groups = await self._accounts.look(self._accounts.groups, account.name)
        principal = Principal(
            name=account.name,
            kind=account.kind,
            role=account.role,
            via="password",
            credential=account.name,
            expires_at=float("inf"),
            allowances=allowances,
            groups=groups,
        )
        return Recognised(principal, REMEMBER_S)

    def _note_wrong(self, digest: bytes, now: float) -> None:
        self._wrong.pop(digest, None)
        if len(self._wrong) >= _MOST_WRONG:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[digest] = now


def _read(secret: bytes) -> tuple[str, str]:
    """The user and the password of a Basic header (RFC 7617)."""
    try:
        user, colon, password = b64decode(secret, validate=True).decode().partition(":")
    except (NotBase64, UnicodeDecodeError) as problem:
        raise Unauthenticated("malformed") from problem
    if not colon:
        raise Unauthenticated("malformed")
    return user, password
