"""Access tokens: signing them, and refusing every one that is not ours.

Owns the JWT format. The only file that imports python-jose; the clock is always an argument. Must not know accounts:
whether the named session still exists is for the authenticator to ask.

Why python-jose is held this way. Version 3.5.0 takes the algorithm from the token when none is given, accepts an empty
secret, tokens without `exp` or `aud`, an `iat` in the future, any `typ` and any `crit`; it raises RecursionError,
OverflowError, TypeError or UnicodeEncodeError for hostile input, and reads the wall clock itself. Security reports have
gone unanswered since March 2026 (mpdavis/python-jose#398, #414, #419). So it is left one job, the HMAC over bytes whose
shape and header were checked here before, with a key object of a named class; every claim is checked here after. A swap
for PyJWT is one line in `issue` and one in `verify`, and the tests hold both to the same tokens.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

from jose import jws

# Named, not chosen by jose: without `cryptography` jose falls back to pure Python, and this line fails instead.
from jose.backends.cryptography_backend import CryptographyHMACKey
from jose.exceptions import JOSEError

from auth.errors import Reason, Unauthenticated
from auth.principal import ROLES, AnyRole

LIFETIME_S: Final = 3600

_ALGORITHM: Final = "HS256"
_TYPES: Final = ("JWT", "at+jwt")
_HEADER_FIELDS: Final = frozenset({"alg", "typ", "kid"})
_SHORTEST_KEY_BYTES: Final = 32  # RFC 7518, 3.2
_LONGEST_TOKEN: Final = 8 * 1024
_LARGEST_TIME: Final = 2**53  # beyond it a double no longer counts seconds
_LEEWAY_S: Final = 10.0  # between the clocks of machines that share a key

# Three parts of base64url. Python's decoder skips characters it does not know, so one token could be spelt many ways;
# a JWE has five parts and never gets further than this.
_SHAPE: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token that verified says."""

    name: str
    role: AnyRole
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
        """From now on the first of `keys` signs and all of them verify; raise ValueError if one will not do."""
        self._keys = {_key_id(key): check_key(key) for key in keys}
        self._signing_id = _key_id(keys[0])

    def change_counter(self) -> int:
        """Differs from before if the keys do."""
        return 0

    def issue(self, name: str, role: AnyRole, session: str, now: float) -> str:
        """Sign a token for `name`, good from `now` for `lifetime_s`."""
        issued_at = int(now)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": name,
            "role": role,
            "sid": session,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + self.lifetime_s,
        }
        header = {"typ": "at+jwt", "kid": self._signing_id}
        token: str = jws.sign(claims, self._keys[self._signing_id], headers=header, algorithm=_ALGORITHM)
        return token

    def verify(self, token: str | bytes, now: float) -> Claims:
        """Read a token; raise `Unauthenticated`, and nothing else, for any that is not ours and good at `now`."""
        try:
            return self._verify(token, now)
        except Unauthenticated:
            raise
        except Exception as problem:  # whatever it was: a token is never the cause of a 500
            raise Unauthenticated("malformed") from problem

    def _verify(self, token: str | bytes, now: float) -> Claims:
        if len(token) > _LONGEST_TOKEN:
            raise Unauthenticated("too_large")
        raw = token.encode("ascii") if isinstance(token, str) else bytes(token)
        shape = _SHAPE.fullmatch(raw)
        if shape is None:
            raise Unauthenticated("malformed")
        key = self._key(_json_object(_decoded(shape[1])))
        _decoded(shape[2])
        try:
            payload = jws.verify(raw, key, algorithms=[_ALGORITHM])
        except JOSEError as problem:
            raise Unauthenticated("bad_signature") from problem
        _decoded(shape[3])  # it verified, but may be spelt in another way
        return self._claims(_json_object(payload), now)

    def _key(self, header: dict[str, Any]) -> CryptographyHMACKey:
        """The one key that a token with this header may be signed with."""
        # By name, so that `crit`, `jwk`, `jku`, `zip` and what comes after them are all refused.
        _require(header.keys() == _HEADER_FIELDS, "bad_header")
        _require(header["alg"] == _ALGORITHM and header["typ"] in _TYPES, "bad_header")
        _require(isinstance(header["kid"], str) and header["kid"] in self._keys, "bad_header")
        return self._keys[header["kid"]]

    def _claims(self, claims: dict[str, Any], now: float) -> Claims:
        issued_at, not_before, expires_at = (_time(claims.get(claim)) for claim in ("iat", "nbf", "exp"))
        name, session, role = (_text(claims.get(claim)) for claim in ("sub", "sid", "role"))
        _require(claims.get("iss") == self._issuer and claims.get("aud") == self._audience, "bad_claims")
        _require(max(issued_at, not_before) <= now + _LEEWAY_S, "bad_claims")
        _require(role in ROLES or role == "peer", "bad_claims")
        _require(now < expires_at, "expired")
        return Claims(name, cast(AnyRole, role), session, issued_at, expires_at)


def check_key(key: bytes) -> CryptographyHMACKey:
    """The key as jose wants it; raise ValueError if it will not do."""
    if len(key) < _SHORTEST_KEY_BYTES:
        raise ValueError(f"a signing key has at least {_SHORTEST_KEY_BYTES} bytes, this one has {len(key)}")
    try:
        if key.startswith(b"-----"):  # of any kind, also of those that jose does not know
            raise JOSEError
        return CryptographyHMACKey(key, _ALGORITHM)
    except JOSEError as problem:
        raise ValueError("a signing key is random bytes, not a PEM or SSH key") from problem


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"tandem key id" + key).hexdigest()[:16]


def _require(holds: bool, reason: Reason) -> None:
    if not holds:
        raise Unauthenticated(reason)


def _time(value: object) -> float:
    # Not isinstance: True is an int. The range also refuses NaN, Infinity and 1e999.
    if (type(value) is int or type(value) is float) and 0 <= value < _LARGEST_TIME:
        return value
    raise Unauthenticated("bad_claims")


def _text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise Unauthenticated("bad_claims")


def _decoded(part: bytes) -> bytes:
    decoded = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    # The last character has bits to spare: a token shall have one spelling.
    _require(base64.urlsafe_b64encode(decoded).rstrip(b"=") == part, "malformed")
    return decoded


def _json_object(text: bytes) -> dict[str, Any]:
    parsed = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    if not isinstance(parsed, dict):
        raise Unauthenticated("malformed")
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A name given twice is read differently by different parsers, and jose parses the header again.
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unauthenticated("malformed")
    return fields


def _refuse(constant: str) -> NoReturn:
    raise Unauthenticated("malformed")
