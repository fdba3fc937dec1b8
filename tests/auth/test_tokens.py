"""The case table of python-jose's known weaknesses (shared/ops.md, 5.1), with PyJWT as a second opinion."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt as pyjwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jose.backends.cryptography_backend import CryptographyHMACKey

from auth.errors import Reason, Unauthenticated
from auth.tokens import Claims, Tokens

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
NOW = int(time.time())  # PyJWT reads the wall clock, so the tokens it judges are of today
TOKENS = Tokens(KEY)


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part_of(token: str, index: int) -> dict[str, Any]:
    part = token.split(".")[index]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


GOOD = TOKENS.issue("ann", "analyst", "s1", NOW)
HEADER, CLAIMS = part_of(GOOD, 0), part_of(GOOD, 1)


def signed(header: dict[str, Any] | bytes, claims: Any, key: bytes = KEY, digest: str = "sha256") -> str:
    """A token signed by hand, so that no library can refuse to make it."""
    parts = [base64url(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims)]
    body = ".".join(parts)
    return f"{body}.{base64url(hmac.new(key, body.encode(), digest).digest())}"


def with_header(**changes: Any) -> str:
    return signed(HEADER | changes, CLAIMS)


def with_claims(**changes: Any) -> str:
    return signed(HEADER, CLAIMS | changes)


def without(claim: str) -> str:
    return signed(HEADER, {name: value for name, value in CLAIMS.items() if name != claim})


def raw_claim(name: str, literal: str) -> str:
    """Claims holding what json.dumps would not write."""
    return signed(HEADER, json.dumps(CLAIMS | {name: "@"}).replace('"@"', literal).encode())


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


def pyjwt_accepts(token: str | bytes) -> bool:
    try:
        pyjwt.decode(
            token,
            KEY,
            algorithms=["HS256"],
            audience="tandem",
            issuer="tandem",
            leeway=10,
            options={"require": ["exp", "iat", "nbf", "aud", "iss", "sub"]},
        )
    except (pyjwt.PyJWTError, ValueError, TypeError, RecursionError):
        return False
    return True


BOTH = [  # refused here and by PyJWT
    ("alg none, no signature", signed(HEADER | {"alg": "none"}, CLAIMS).rpartition(".")[0] + ".", "malformed"),
    ("alg none, signed", with_header(alg="none"), "bad_header"),
    ("alg in another case", with_header(alg="hs256"), "bad_header"),
    ("alg is HS512", signed(HEADER | {"alg": "HS512"}, CLAIMS, digest="sha512"), "bad_header"),
    ("alg is RS256", with_header(alg="RS256"), "bad_header"),
    ("alg is a list", with_header(alg=["HS256"]), "bad_header"),
    ("alg is missing", signed({"typ": "JWT", "kid": HEADER["kid"]}, CLAIMS), "bad_header"),
    ("crit header", with_header(crit=["exp"], exp=1), "bad_header"),
    ("unknown crit header", with_header(crit=["tandem"]), "bad_header"),
    ("signed with another key", signed(HEADER, CLAIMS, OTHER_KEY), "bad_signature"),
    ("signed with an empty key", signed(HEADER, CLAIMS, b""), "bad_signature"),
    ("signature cut short", GOOD[:-4], "bad_signature"),
    ("claims changed after signing", GOOD.replace(GOOD.split(".")[1], base64url(b"{}")), "bad_signature"),
    ("no exp", without("exp"), "bad_claims"),
    ("no iat", without("iat"), "bad_claims"),
    ("no nbf", without("nbf"), "bad_claims"),
    ("no aud", without("aud"), "bad_claims"),
    ("no iss", without("iss"), "bad_claims"),
    ("no sub", without("sub"), "bad_claims"),
    ("another audience", with_claims(aud="other"), "bad_claims"),
    ("no audience in the list", with_claims(aud=[]), "bad_claims"),
    ("another issuer", with_claims(iss="other"), "bad_claims"),
    ("sub is a number", with_claims(sub=7), "bad_claims"),
    ("iat in the future", with_claims(iat=NOW + 1000), "bad_claims"),
    ("nbf in the future", with_claims(nbf=NOW + 1000), "bad_claims"),
    ("expired", with_claims(exp=NOW - 1000), "expired"),
    ("exp is a list", with_claims(exp=[]), "bad_claims"),
    ("exp is null", with_claims(exp=None), "bad_claims"),
    ("exp is true", with_claims(exp=True), "bad_claims"),
    ("exp is Infinity", raw_claim("exp", "Infinity"), "malformed"),
    ("exp is NaN", raw_claim("exp", "NaN"), "malformed"),
    ("exp overflows to infinity", raw_claim("exp", "1e999"), "bad_claims"),
    ("exp has more digits than Python reads", raw_claim("exp", "9" * 5000), "malformed"),
    ("claims are a list", signed(HEADER, [1]), "malformed"),
    ("claims are not JSON", signed(HEADER, b"{"), "malformed"),
    ("claims are not UTF-8", signed(HEADER, b"\xff\xfe"), "malformed"),
    ("header is a list", signed(b"[]", CLAIMS), "malformed"),
    ("a JWE of five parts", ".".join([base64url(b'{"alg":"dir","enc":"A128GCM"}'), "", "AA", "AA", "AA"]), "malformed"),
    ("two parts", GOOD.rpartition(".")[0], "malformed"),
    ("empty", "", "malformed"),
    ("a lone surrogate", "\ud800" + GOOD, "malformed"),
    ("not ASCII", "é" + GOOD, "malformed"),
    ("bytes that are no text", b"\xff.\xff.\xff", "malformed"),
]

STRICTER = [  # refused here though PyJWT lets it pass
    ("typ of something else", with_header(typ="dpop+jwt"), "bad_header"),
    ("typ is missing", signed({"alg": "HS256", "kid": HEADER["kid"]}, CLAIMS), "bad_header"),
    ("kid of another key", with_header(kid="0" * 16), "bad_header"),
    ("kid is missing", signed({"alg": "HS256", "typ": "JWT"}, CLAIMS), "bad_header"),
    ("a key in the header", with_header(jwk={"kty": "oct", "k": "AAAA"}), "bad_header"),
    ("a key address in the header", with_header(jku="https://example.org/keys"), "bad_header"),
    ("a header field twice", signed(b'{"kid":"x",' + json.dumps(HEADER).encode()[1:], CLAIMS), "malformed"),
    ("a claim twice", signed(HEADER, b'{"sub":"bob",' + json.dumps(CLAIMS).encode()[1:]), "malformed"),
    ("a list of audiences", with_claims(aud=["tandem", "other"]), "bad_claims"),
    ("exp as a string", with_claims(exp=str(NOW + 60)), "bad_claims"),
    ("nbf as a string", with_claims(nbf=str(NOW)), "bad_claims"),
    ("nbf is false", with_claims(nbf=False), "bad_claims"),
    ("exp beyond what a double counts", with_claims(exp=2**53), "bad_claims"),
    ("iat is negative", with_claims(iat=-1), "bad_claims"),
    ("no session", without("sid"), "bad_claims"),
    ("no role", without("role"), "bad_claims"),
    ("a role that is none", with_claims(role="root"), "bad_claims"),
    ("sub is empty", with_claims(sub=""), "bad_claims"),
    ("larger than 8 KiB", with_claims(pad="x" * 8192), "too_large"),
    ("a newline after it", GOOD + "\n", "malformed"),
    ("a character that decoders skip", GOOD[:-10] + "!" + GOOD[-10:], "malformed"),
]

ACCEPTED = [
    ("as issued", GOOD),
    ("as issued, in bytes", GOOD.encode()),
    ("typ JWT", with_header(typ="JWT")),
    ("times with fractions", with_claims(iat=NOW - 0.5, exp=NOW + 3600.5)),
    ("iat within the leeway", with_claims(iat=NOW + 5, nbf=NOW + 5)),
    ("a claim that is not ours", with_claims(note="hello")),
]


def named(cases: list[Any]) -> list[Any]:
    return [pytest.param(*case[1:], id=case[0]) for case in cases]


@pytest.mark.parametrize(("token", "reason"), named(BOTH + STRICTER))
def test_a_token_that_is_not_ours_is_refused_for_its_reason(token: str | bytes, reason: Reason) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        TOKENS.verify(token, NOW)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(("token", "reason"), named(BOTH))
def test_pyjwt_refuses_it_too(token: str | bytes, reason: Reason) -> None:
    assert not pyjwt_accepts(token)


@pytest.mark.parametrize("token", named(ACCEPTED))
def test_a_token_of_ours_is_accepted_here_and_by_pyjwt(token: str | bytes) -> None:
    assert TOKENS.verify(token, NOW).name == "ann"
    assert pyjwt_accepts(token)


@pytest.mark.parametrize("depth", [500, 1500, 2800])
@pytest.mark.parametrize("where", ["header", "claims"])
def test_nesting_of_any_depth_is_refused(where: str, depth: int) -> None:
    """From some depth on, which differs between versions of Python, json raises RecursionError."""
    token = signed(nested(depth), CLAIMS) if where == "header" else signed(HEADER, nested(depth))
    with pytest.raises(Unauthenticated, match=r"malformed|bad_header|bad_claims"):
        TOKENS.verify(token, NOW)
    assert not pyjwt_accepts(token)


def test_a_token_says_what_was_issued() -> None:
    assert TOKENS.verify(GOOD, NOW) == Claims("ann", "analyst", "s1", NOW, NOW + 3600)


@pytest.mark.parametrize("now", [0.0, 1e9, 4e9])
def test_only_the_given_clock_decides(now: float) -> None:
    """jose compares exp and nbf with the wall clock; these tokens are decades away from it."""
    token = TOKENS.issue("ann", "scorer", "s1", now)
    assert TOKENS.verify(token, now + 3599).expires_at == now + 3600
    with pytest.raises(Unauthenticated, match="expired"):
        TOKENS.verify(token, now + 3600)


def test_a_token_of_another_issuer_or_audience_with_our_key_is_refused() -> None:
    for stranger in (Tokens(KEY, issuer="x"), Tokens(KEY, audience="x")):
        with pytest.raises(Unauthenticated, match="bad_claims"):
            TOKENS.verify(stranger.issue("ann", "admin", "s1", NOW), NOW)


def test_another_key_has_another_key_id() -> None:
    other = Tokens(OTHER_KEY).issue("ann", "admin", "s1", NOW)
    assert part_of(other, 0)["kid"] != HEADER["kid"]
    with pytest.raises(Unauthenticated, match="bad_header"):
        TOKENS.verify(other, NOW)


def test_the_key_id_does_not_give_the_key_away() -> None:
    assert HEADER["kid"] not in (KEY.hex()[:16], hashlib.sha256(KEY).hexdigest()[:16])


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_short_key_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Tokens(b"k" * length)


def test_a_pem_file_is_no_key() -> None:
    with pytest.raises(ValueError, match="not a PEM"):
        Tokens(b"-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG\n-----END PUBLIC KEY-----\n")


def test_the_signature_is_checked_by_cryptography() -> None:
    assert type(TOKENS._key) is CryptographyHMACKey


@given(st.text() | st.binary())
def test_whatever_comes_only_unauthenticated_leaves(token: str | bytes) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.verify(token, NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(CLAIMS)), JSON)
def test_a_signed_claim_of_any_value_is_accepted_or_unauthenticated(claim: str, value: Any) -> None:
    try:
        TOKENS.verify(with_claims(**{claim: value}), NOW)
    except Unauthenticated:
        return
    assert claim in ("exp", "iat", "nbf", "sub", "sid", "role") or value == CLAIMS[claim]


@given(st.sampled_from(sorted(HEADER)), JSON)
def test_a_signed_header_of_any_other_value_is_refused(field: str, value: Any) -> None:
    if value in (HEADER[field], "JWT"):
        return
    with pytest.raises(Unauthenticated):
        TOKENS.verify(with_header(**{field: value}), NOW)
