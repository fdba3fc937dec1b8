"""An identity provider's keys and tokens, made by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.auth.forged import Signer, base64url

ISSUER = "https://idp.example.org"


@cache
def rsa_key(which: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same key for the same name, as making one takes a while."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(which: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def by_rsa(key: rsa.RSAPrivateKey) -> Signer:
    return lambda body, digest: key.sign(body, padding.PKCS1v15(), getattr(hashes, digest.upper())())


def by_ec(key: ec.EllipticCurvePrivateKey) -> Signer:
    def sign(body: bytes, digest: str) -> bytes:
        r, s = decode_dss_signature(key.sign(body, ec.ECDSA(getattr(hashes, digest.upper())())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa_entry(kid: str, key: rsa.RSAPrivateKey, **more: Any) -> dict[str, Any]:
    """A key as Entra ID's set has it, which says nothing of the algorithm."""
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "use": "sig", "kid": kid, "n": number(numbers.n), "e": number(numbers.e)} | more


def ec_entry(kid: str, key: ec.EllipticCurvePrivateKey, **more: Any) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    place = {name: base64url(value.to_bytes(32, "big")) for name, value in (("x", numbers.x), ("y", numbers.y))}
    return {"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid} | place | more


class Imitation:
    """A provider that is asked by a function call, and answers as it is told to."""

    def __init__(self, *keys: dict[str, Any], issuer: str = ISSUER, **more: Any) -> None:
        self.keys = list(keys)
        self.document: dict[str, Any] = {"issuer": issuer, "jwks_uri": f"{ISSUER}/keys"} | more
        self.asked: list[str] = []
        self.failure: Exception | None = None

    async def get(self, url: str) -> dict[str, Any]:
        self.asked.append(url)
        if self.failure is not None:
            raise self.failure
        return {"keys": self.keys} if url == self.document.get("jwks_uri") else self.document

    @property
    def times(self) -> int:
        """How often its keys were asked for."""
        return self.asked.count(f"{ISSUER}/keys")


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()
