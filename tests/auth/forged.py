"""Tokens that must be refused, forged for whoever verifies them: our own access tokens, and those of a provider.

The tables are the known weaknesses of python-jose (key confusion, an empty key, `none`) and what else may be wrong.
"""

import base64
import hmac
import json
from dataclasses import dataclass, field, replace
from typing import Any, Protocol


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part_of(token: str, index: int) -> dict[str, Any]:
    part = token.split(".")[index]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


def _written(part: Any) -> bytes:
    return json.dumps(part, separators=(",", ":")).encode()


class Signer(Protocol):
    """Signs bytes by hand, so that no library can refuse to."""

    def __call__(self, body: bytes, digest: str) -> bytes: ...


def by_secret(key: bytes) -> Signer:
    return lambda body, digest: hmac.new(key, body, digest).digest()


@dataclass(frozen=True)
class Forger:
    """Has a good token, and a key to sign others with that are like it but for one thing."""

    header: dict[str, Any]
    claims: dict[str, Any]
    sign: Signer = field(repr=False)
    by_another: Signer = field(repr=False)
    """Signs with a key that nobody knows."""
    now: int
    longest: int

    @property
    def good(self) -> str:
        return self.signed(self.header, self.claims)

    def signed(self, header: dict[str, Any] | bytes, claims: Any, digest: str = "sha256") -> str:
        parts = [base64url(part if isinstance(part, bytes) else _written(part)) for part in (header, claims)]
        body = ".".join(parts)
        return f"{body}.{base64url(self.sign(body.encode(), digest))}"

    def forged(self, signer: Signer) -> str:
        return replace(self, sign=signer).good

    def with_header(self, **changes: Any) -> str:
        return self.signed(self.header | changes, self.claims)

    def without_header(self, name: str) -> str:
        return self.signed({n: value for n, value in self.header.items() if n != name}, self.claims)

    def with_claims(self, **changes: Any) -> str:
        return self.signed(self.header, self.claims | changes)

    def without(self, *claims: str) -> str:
        return self.signed(self.header, {name: value for name, value in self.claims.items() if name not in claims})

    def raw_claim(self, name: str, literal: str) -> str:
        """Claims holding what json.dumps would not write."""
        return self.signed(self.header, json.dumps(self.claims | {name: "@"}).replace('"@"', literal).encode())


def refused_by_both(f: Forger) -> list[Any]:
    """Refused here and by PyJWT."""
    changed = base64url(_written(f.claims | {"sub": "root"}))
    return [
        (
            "alg none, no signature",
            f.signed(f.header | {"alg": "none"}, f.claims).rpartition(".")[0] + ".",
            "malformed",
        ),
        ("alg none, signed", f.with_header(alg="none"), "bad_header"),
        ("alg in another case", f.with_header(alg=f.header["alg"].lower()), "bad_header"),
        (
            "alg with a longer digest",
            f.signed(f.header | {"alg": f.header["alg"][:2] + "512"}, f.claims, "sha512"),
            "bad_header",
        ),
        ("alg is PS256", f.with_header(alg="PS256"), "bad_header"),
        ("alg is a list", f.with_header(alg=[f.header["alg"]]), "bad_header"),
        ("alg is missing", f.without_header("alg"), "bad_header"),
        ("kid is a list", f.with_header(kid=[f.header["kid"]]), "bad_header"),
        ("crit header", f.with_header(crit=["exp"], exp=1), "bad_header"),
        ("unknown crit header", f.with_header(crit=["tandem"]), "bad_header"),
        ("signed with another key", f.forged(f.by_another), "bad_signature"),
        ("signature cut short", f.good[:-4], "bad_signature"),
        ("claims changed after signing", f.good.replace(f.good.split(".")[1], changed), "bad_signature"),
        ("no exp", f.without("exp"), "bad_claims"),
        ("no iat", f.without("iat"), "bad_claims"),
        ("no aud", f.without("aud"), "bad_claims"),
        ("no iss", f.without("iss"), "bad_claims"),
        ("no sub", f.without("sub"), "bad_claims"),
        ("another audience", f.with_claims(aud="other"), "bad_claims"),
        ("no audience in the list", f.with_claims(aud=[]), "bad_claims"),
        ("another issuer", f.with_claims(iss="other"), "bad_claims"),
        ("sub is a number", f.with_claims(sub=7), "bad_claims"),
        ("iat in the future", f.with_claims(iat=f.now + 100_000), "bad_claims"),
        ("nbf in the future", f.with_claims(nbf=f.now + 100_000), "bad_claims"),
        ("expired", f.with_claims(exp=f.now - 1000), "expired"),
        ("exp is a list", f.with_claims(exp=[]), "bad_claims"),
        ("exp is null", f.with_claims(exp=None), "bad_claims"),
        ("exp is true", f.with_claims(exp=True), "bad_claims"),
        ("exp is Infinity", f.raw_claim("exp", "Infinity"), "malformed"),
        ("exp is NaN", f.raw_claim("exp", "NaN"), "malformed"),
        ("exp overflows to infinity", f.raw_claim("exp", "1e999"), "bad_claims"),
        ("exp has more digits than Python reads", f.raw_claim("exp", "9" * 5000), "malformed"),
        ("claims are a list", f.signed(f.header, [1]), "malformed"),
        ("claims are not JSON", f.signed(f.header, b"{"), "malformed"),
        ("claims are not UTF-8", f.signed(f.header, b"\xff\xfe"), "malformed"),
        ("header is a list", f.signed(b"[]", f.claims), "malformed"),
        (
            "a JWE of five parts",
            ".".join([base64url(b'{"alg":"dir","enc":"A128GCM"}'), "", "AA", "AA", "AA"]),
            "malformed",
        ),
        ("two parts", f.good.rpartition(".")[0], "malformed"),
        ("empty", "", "malformed"),
        ("a lone surrogate", "\ud800" + f.good, "malformed"),
        ("not ASCII", "é" + f.good, "malformed"),
        ("bytes that are no text", b"\xff.\xff.\xff", "malformed"),
    ]


def refused_here(f: Forger) -> list[Any]:
    """Refused here though PyJWT lets it pass."""
    return [
        ("typ of something else", f.with_header(typ="dpop+jwt"), "bad_header"),
        ("kid of another key", f.with_header(kid="0" * 16), "bad_header"),
        ("kid is a path", f.with_header(kid="../../../../dev/null"), "bad_header"),
        ("kid is a query", f.with_header(kid="' UNION SELECT 'k' --"), "bad_header"),
        ("kid is empty", f.with_header(kid=""), "bad_header"),
        ("a certificate in the header", f.with_header(x5c=["MIIB"], x5u="https://example.org/c"), "bad_header"),
        ("compressed claims", f.with_header(zip="DEF"), "bad_header"),
        ("claims that are not encoded", f.with_header(b64=False), "bad_header"),
        ("kid is missing", f.without_header("kid"), "bad_header"),
        ("a key in the header", f.with_header(jwk={"kty": "oct", "k": "AAAA"}), "bad_header"),
        ("a key address in the header", f.with_header(jku="https://example.org/keys"), "bad_header"),
        ("a header field twice", f.signed(b'{"kid":"x",' + json.dumps(f.header).encode()[1:], f.claims), "malformed"),
        ("a claim twice", f.signed(f.header, b'{"sub":"bob",' + json.dumps(f.claims).encode()[1:]), "malformed"),
        ("exp as a string", f.with_claims(exp=str(f.now + 60)), "bad_claims"),
        ("nbf as a string", f.with_claims(nbf=str(f.now)), "bad_claims"),
        ("nbf is false", f.with_claims(nbf=False), "bad_claims"),
        ("exp beyond what a double counts", f.with_claims(exp=2**53), "bad_claims"),
        ("iat is negative", f.with_claims(iat=-1), "bad_claims"),
        ("sub is empty", f.with_claims(sub=""), "bad_claims"),
        ("larger than it may be", f.with_claims(pad="x" * f.longest), "too_large"),
        ("a newline after it", f.good + "\n", "malformed"),
        ("a character that decoders skip", f.good[:-10] + "!" + f.good[-10:], "malformed"),
    ]
