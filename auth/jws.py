"""Signed tokens (JWS): their shape, their header, one key, one algorithm.

Owns how a token is read before anything in it is believed. The only file that imports python-jose. Must not know what
claims mean: those of our own access tokens are `tokens.py`'s, those of an identity provider `credentials/oidc.py`'s.
Every function raises `Unauthenticated` for a token that will not do.

Why python-jose is held this way. Version 3.5.0 takes the algorithm from the token when none is given, accepts an empty
secret, tokens without `exp` or `aud`, an `iat` in the future, any `typ` and any `crit`; of a set of keys it tries all,
also those for encryption, RSA keys of 1024 bits and such as name another algorithm, and one that it cannot read makes
good tokens fail; it raises RecursionError, OverflowError, TypeError or UnicodeEncodeError for hostile input, and reads
the wall clock itself. Security reports have gone unanswered since March 2026 (mpdavis/python-jose#398, #414, #419). So
it is left one job, the signature over bytes whose shape and header were checked here before, with one key object of a
named class; every claim is checked after. A swap for PyJWT is one line in `sign` and one in `verified`, and the tests
hold both to the same tokens.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NoReturn

from jose import jws

# Named, not chosen by jose: without `cryptography` jose falls back to pure Python, and this line fails instead.
from jose.backends.cryptography_backend import CryptographyECKey, CryptographyHMACKey, CryptographyRSAKey
from jose.exceptions import JOSEError

from auth.errors import Reason, Unauthenticated

PublicAlgorithm = Literal["RS256", "ES256"]
"""The algorithms of providers that jose knows and nobody advises against."""
SECRET_ALGORITHM: Final = "HS256"

_SHORTEST_SECRET_BYTES: Final = 32  # RFC 7518, 3.2
_RSA_BITS: Final = range(2048, 8193)  # RFC 7518, 3.3; beyond the end one signature costs a millisecond
_LARGEST_TIME: Final = 2**53  # beyond it a double no longer counts seconds

# Three parts of base64url. Python's decoder skips characters it does not know, so one token could be spelt many ways;
# a JWE has five parts and never gets further than this.
_SHAPE: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Key:
    """A key, with the one algorithm that it is for."""

    algorithm: str
    inner: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token of the right shape. Nothing in it may be believed; its header only says which key to look for."""

    raw: bytes
    header: dict[str, Any]

    @property
    def payload(self) -> dict[str, Any]:
        """The claims of the token, which anybody may have made up."""
        return _json_object(_decoded(self.raw.split(b".")[1]))


def read(token: str | bytes, longest: int) -> Unverified:
    """The parts of a token of `longest` bytes at most."""
    require(len(token) <= longest, "too_large", f"it has more than {longest} bytes")
    raw = token.encode("ascii") if isinstance(token, str) else bytes(token)
    shape = _SHAPE.fullmatch(raw)
    if shape is None:
        raise Unauthenticated("malformed", "it is not three parts of base64url")
    header = _json_object(_decoded(shape[1]))
    _decoded(shape[2])
    return Unverified(raw, header)


def verified(token: Unverified, key: Key) -> dict[str, Any]:
    """The claims of a token whose signature is by `key`, in the key's own algorithm."""
    try:
        payload = jws.verify(token.raw, key.inner, algorithms=[key.algorithm])
    except JOSEError as problem:
        raise Unauthenticated("bad_signature", "its signature is not of that key") from problem
    _decoded(token.raw.split(b".")[2])  # it verified, but may be spelt in another way
    return _json_object(payload)


def sign(claims: dict[str, Any], key: Key, header: dict[str, str]) -> str:
    """A token with these claims."""
    token: str = jws.sign(claims, key.inner, headers=header, algorithm=key.algorithm)
    return token


def secret_key(key: bytes) -> Key:
    """A key of our own, which signs and verifies; raise ValueError if it will not do."""
    if len(key) < _SHORTEST_SECRET_BYTES:
        raise ValueError(f"a signing key has at least {_SHORTEST_SECRET_BYTES} bytes, this one has {len(key)}")
    try:
        if key.startswith(b"-----"):  # of any kind, also of those that jose does not know
            raise JOSEError
        return Key(SECRET_ALGORITHM, CryptographyHMACKey(key, SECRET_ALGORITHM))
    except JOSEError as problem:
        raise ValueError("a signing key is random bytes, not a PEM or SSH key") from problem


def public_key(entry: Mapping[str, Any], algorithm: PublicAlgorithm) -> Key:
    """The key that an entry of a provider's key set describes; raise ValueError if it is none for `algorithm`.

    Only the numbers are taken from the entry. Which algorithm the key is for, we say.
    """
    if entry.get("alg", algorithm) != algorithm:
        raise ValueError(f"it is not for {algorithm}")
    try:
        if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ["verify"]):
            raise ValueError("it is not for signatures")
        return Key(algorithm, _rsa(entry) if algorithm == "RS256" else _elliptic(entry))
    except ValueError:
        raise
    except Exception as problem:  # of whatever kind: jose and cryptography raise many
        raise ValueError("it cannot be read") from problem


def _rsa(entry: Mapping[str, Any]) -> Any:
    key = CryptographyRSAKey({"kty": "RSA"} | _numbers(entry, "RSA", ("n", "e")), "RS256")
    if key.prepared_key.key_size not in _RSA_BITS:
        raise ValueError(f"an RSA key has {_RSA_BITS.start} to {_RSA_BITS.stop - 1} bits")
    return key


def _elliptic(entry: Mapping[str, Any]) -> Any:
    if entry.get("crv") != "P-256":
        raise ValueError("a key for ES256 is on P-256")
    return CryptographyECKey({"kty": "EC", "crv": "P-256"} | _numbers(entry, "EC", ("x", "y")), "ES256")


def _numbers(entry: Mapping[str, Any], kind: str, names: tuple[str, ...]) -> dict[str, str]:
    numbers = {name: entry.get(name) for name in names}
    if entry.get("kty") != kind:
        raise ValueError(f"its kty is not {kind}")
    if not all(isinstance(number, str) and _BASE64URL.fullmatch(number) for number in numbers.values()):
        raise ValueError(f"its {' and '.join(names)} are not base64url")
    return {name: str(number) for name, number in numbers.items()}


def require(holds: bool, reason: Reason, rule: str = "") -> None:
    """Raise `Unauthenticated` with this reason unless the rule holds."""
    if not holds:
        raise Unauthenticated(reason, rule)


def time_in(claims: Mapping[str, Any], name: str) -> float:
    """A claim that is a time, in unix seconds."""
    value = claims.get(name)
    # Not isinstance: True is an int. The range also refuses NaN, Infinity and 1e999.
    if (type(value) is int or type(value) is float) and 0 <= value < _LARGEST_TIME:
        return value
    raise Unauthenticated("bad_claims", f"its {name} is no time")


def text_in(claims: Mapping[str, Any], name: str) -> str:
    """A claim that is a text and not empty."""
    value = claims.get(name)
    if isinstance(value, str) and value:
        return value
    raise Unauthenticated("bad_claims", f"its {name} is no text")


def _decoded(part: bytes) -> bytes:
    decoded = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    # The last character has bits to spare: a token shall have one spelling.
    require(base64.urlsafe_b64encode(decoded).rstrip(b"=") == part, "malformed", "its base64url has bits to spare")
    return decoded


def json_object(text: bytes) -> dict[str, Any]:
    """A JSON object that names nothing twice; raise ValueError for anything else."""
    try:
        parsed = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem
    if not isinstance(parsed, dict):
        raise ValueError("it is not an object")
    return parsed


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        return json_object(text)
    except ValueError as problem:
        raise Unauthenticated("malformed", "a part of it is not a JSON object that names nothing twice") from problem


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A name given twice is read differently by different parsers, and jose parses the header again.
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name is there twice")
    return fields


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
