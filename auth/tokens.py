"""Our access tokens: signing them, and refusing every one that is not ours.

Owns their claims; the clock is always an argument. What a signed token is, `jws.py` knows. Must not know accounts:
whether the named session still exists is for the authenticator to ask.
"""

import hashlib
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from auth import jws
from auth.errors import Unauthenticated
from auth.jws import require, text_in, time_in
from auth.principal import is_role_name

LIFETIME_S: Final = 3600

_TYPES: Final = ("JWT", "at+jwt")
_HEADER_FIELDS: Final = frozenset({"alg", "typ", "kid"})
_LONGEST_TOKEN: Final = 8 * 1024
_LEEWAY_S: Final = 10.0  # between the clocks of machines that share a key


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token that was verified."""

    name: str
    role: str
    session: str
    issued_at: float
    expires_at: float


class Tokens:
    """Issues access tokens with the first of its HS256 keys, and verifies them with any."""

    def __init__(
        self, *keys: bytes, issuer: str = "tandem", audience: str = "tandem", lifetime_s: int = LIFETIME_S
    ) -> None:
        self.lifetime_s: Final = lifetime_s
        self._issuer = issuer
        self._audience = audience
        self.use(*keys)

    def use(self, *keys: bytes) -> None:
        """Sign with the first of `keys` and verify with all, from now on; raise ValueError if one will not do."""
        self._keys = {_key_id(key): jws.secret_key(key) for key in keys}
        self._signing_id = _key_id(keys[0])

    def change_counter(self) -> int:
        """A number that differs from the one before if the keys do."""
        return 0

    def issue(self, name: str, role: str, session: str, now: float, until: float = inf) -> str:
        """Sign a token for `name`, good from `now` for `lifetime_s`, but not beyond `until`."""
        issued_at = int(now)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": name,
            "role": role,
            "sid": session,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": int(min(issued_at + self.lifetime_s, until)),
        }
        header = {"typ": "at+jwt", "kid": self._signing_id}
        return jws.sign(claims, self._keys[self._signing_id], header)

    def verify(self, token: str | bytes, now: float) -> Claims:
        """Read a token; raise `Unauthenticated`, and nothing else, for any that is not ours and good at `now`."""
        try:
            return self._verify(token, now)
        except Unauthenticated:
            raise
        except Exception as problem:  # whatever it was: a token is never the cause of a 500
            raise Unauthenticated("malformed") from problem

    def seal(self, purpose: str, values: dict[str, str], now: float, lifetime_s: int) -> str:
        """Sign values that somebody else keeps for us, so that they come back unchanged. Anybody can read them."""
        header = {"typ": f"tandem-{purpose}", "kid": self._signing_id}  # no access token is of this type
        return jws.sign(values | {"exp": int(now) + lifetime_s}, self._keys[self._signing_id], header)

    def unseal(self, purpose: str, sealed: str, now: float) -> dict[str, str]:
        """The values that were sealed for this purpose.

        Raise `Unauthenticated` for others, or if their time is over.
        """
        try:
            unverified = jws.read(sealed, _LONGEST_TOKEN)
            key = self._key(unverified.header | {"typ": _TYPES[0]})
            require(unverified.header.get("typ") == f"tandem-{purpose}", "bad_header")
            values = jws.verified(unverified, key)
        except Unauthenticated:
            raise
        except Exception as problem:
            raise Unauthenticated("malformed") from problem
        require(now < time_in(values, "exp"), "expired")
        return {name: text_in(values, name) for name in values if name != "exp"}

    def _verify(self, token: str | bytes, now: float) -> Claims:
        unverified = jws.read(token, _LONGEST_TOKEN)
        claims = jws.verified(unverified, self._key(unverified.header))
        return self._claims(claims, now)

    def _key(self, header: dict[str, Any]) -> jws.Key:
        """The one key that a token with this header may be signed with."""
        # By name, so that `crit`, `jwk`, `jku`, `zip` and what comes after them are all refused.
        require(header.keys() == _HEADER_FIELDS, "bad_header")
        require(header["alg"] == jws.SECRET_ALGORITHM and header["typ"] in _TYPES, "bad_header")
        require(isinstance(header["kid"], str) and header["kid"] in self._keys, "bad_header")
        return self._keys[header["kid"]]

    def _claims(self, claims: dict[str, Any], now: float) -> Claims:
        issued_at, not_before, expires_at = (time_in(claims, name) for name in ("iat", "nbf", "exp"))
        name, session, role = (text_in(claims, name) for name in ("sub", "sid", "role"))
        require(claims.get("iss") == self._issuer and claims.get("aud") == self._audience, "bad_claims")
        require(max(issued_at, not_before) <= now + _LEEWAY_S, "bad_claims")
        require(is_role_name(role), "bad_claims")
        require(now < expires_at, "expired")
        return Claims(name, role, session, issued_at, expires_at)


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"tandem key id" + key).hexdigest()[:16]
