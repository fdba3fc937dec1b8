"""The known weaknesses of python-jose (key confusion, an empty key, `none`), with PyJWT as a second opinion."""

import base64
import hashlib
import hmac
import json
import string
import time
from collections.abc import Callable
from typing import Any

import jwt as pyjwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jose.backends.cryptography_backend import CryptographyHMACKey

from auth.errors import Reason, Unauthenticated
from auth.tokens import Claims, Tokens

KEY = bytes(range(32))
OLD_KEY = bytes(range(1, 33))
OTHER_KEY = bytes(range(2, 34))
NOW = int(time.time())  # PyJWT reads the wall clock, so the tokens it judges are of today
TOKENS = Tokens(KEY)
TWO = Tokens(KEY, OLD_KEY)


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part_of(token: str, index: int) -> dict[str, Any]:
    part = token.split(".")[index]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


def signed(header: dict[str, Any] | bytes, claims: Any, key: bytes = KEY, digest: str = "sha256") -> str:
    """A token signed by hand, so that no library can refuse to make it."""
    parts = [base64url(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims)]
    body = ".".join(parts)
    return f"{body}.{base64url(hmac.new(key, body.encode(), digest).digest())}"


class Forger:
    """Has a good token, and a key to sign others with that are like it but for one thing."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.good = Tokens(key).issue("ann", "analyst", "s1", NOW)
        self.header, self.claims = part_of(self.good, 0), part_of(self.good, 1)

    def signed(self, header: dict[str, Any] | bytes, claims: Any, digest: str = "sha256") -> str:
        return signed(header, claims, self.key, digest)

    def with_header(self, **changes: Any) -> str:
        return self.signed(self.header | changes, self.claims)

    def with_claims(self, **changes: Any) -> str:
        return self.signed(self.header, self.claims | changes)

    def without(self, claim: str) -> str:
        return self.signed(self.header, {name: value for name, value in self.claims.items() if name != claim})

    def raw_claim(self, name: str, literal: str) -> str:
        """Claims holding what json.dumps would not write."""
        return self.signed(self.header, json.dumps(self.claims | {name: "@"}).replace('"@"', literal).encode())


OURS = Forger(KEY)
FORGERS = [OURS, Forger(OLD_KEY)]


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


def pyjwt_accepts(token: str | bytes, key: bytes = KEY) -> bool:
    try:
        pyjwt.decode(
            token,
            key,
            algorithms=["HS256"],
            audience="tandem",
            issuer="tandem",
            leeway=10,
            options={"require": ["exp", "iat", "nbf", "aud", "iss", "sub"]},
        )
    except (pyjwt.PyJWTError, ValueError, TypeError, RecursionError):
        return False
    return True


def refused_by_both(f: Forger) -> list[Any]:
    """Refused here and by PyJWT."""
    return [
        (
            "alg none, no signature",
            f.signed(f.header | {"alg": "none"}, f.claims).rpartition(".")[0] + ".",
            "malformed",
        ),
        ("alg none, signed", f.with_header(alg="none"), "bad_header"),
        ("alg in another case", f.with_header(alg="hs256"), "bad_header"),
        ("alg is HS512", f.signed(f.header | {"alg": "HS512"}, f.claims, digest="sha512"), "bad_header"),
        ("alg is RS256", f.with_header(alg="RS256"), "bad_header"),
        ("alg is a list", f.with_header(alg=["HS256"]), "bad_header"),
        ("alg is missing", f.signed({"typ": "JWT", "kid": f.header["kid"]}, f.claims), "bad_header"),
        ("kid is a list", f.with_header(kid=[f.header["kid"]]), "bad_header"),
        ("crit header", f.with_header(crit=["exp"], exp=1), "bad_header"),
        ("unknown crit header", f.with_header(crit=["tandem"]), "bad_header"),
        ("signed with another key", signed(f.header, f.claims, OTHER_KEY), "bad_signature"),
        ("signed with an empty key", signed(f.header, f.claims, b""), "bad_signature"),
        ("signature cut short", f.good[:-4], "bad_signature"),
        ("claims changed after signing", f.good.replace(f.good.split(".")[1], base64url(b"{}")), "bad_signature"),
        ("no exp", f.without("exp"), "bad_claims"),
        ("no iat", f.without("iat"), "bad_claims"),
        ("no nbf", f.without("nbf"), "bad_claims"),
        ("no aud", f.without("aud"), "bad_claims"),
        ("no iss", f.without("iss"), "bad_claims"),
        ("no sub", f.without("sub"), "bad_claims"),
        ("another audience", f.with_claims(aud="other"), "bad_claims"),
        ("no audience in the list", f.with_claims(aud=[]), "bad_claims"),
        ("another issuer", f.with_claims(iss="other"), "bad_claims"),
        ("sub is a number", f.with_claims(sub=7), "bad_claims"),
        ("iat in the future", f.with_claims(iat=NOW + 1000), "bad_claims"),
        ("nbf in the future", f.with_claims(nbf=NOW + 1000), "bad_claims"),
        ("expired", f.with_claims(exp=NOW - 1000), "expired"),
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
        ("typ is missing", f.signed({"alg": "HS256", "kid": f.header["kid"]}, f.claims), "bad_header"),
        ("kid of another key", f.with_header(kid="0" * 16), "bad_header"),
        ("kid is a path", f.with_header(kid="../../../../dev/null"), "bad_header"),
        ("kid is a query", f.with_header(kid="' UNION SELECT 'k' --"), "bad_header"),
        ("kid is the key", f.with_header(kid=f.key.hex()), "bad_header"),
        ("kid is empty", f.with_header(kid=""), "bad_header"),
        ("a certificate in the header", f.with_header(x5c=["MIIB"], x5u="https://example.org/c"), "bad_header"),
        ("compressed claims", f.with_header(zip="DEF"), "bad_header"),
        ("claims that are not encoded", f.with_header(b64=False), "bad_header"),
        ("kid is missing", f.signed({"alg": "HS256", "typ": "JWT"}, f.claims), "bad_header"),
        ("a key in the header", f.with_header(jwk={"kty": "oct", "k": "AAAA"}), "bad_header"),
        ("a key address in the header", f.with_header(jku="https://example.org/keys"), "bad_header"),
        ("a header field twice", f.signed(b'{"kid":"x",' + json.dumps(f.header).encode()[1:], f.claims), "malformed"),
        ("a claim twice", f.signed(f.header, b'{"sub":"bob",' + json.dumps(f.claims).encode()[1:]), "malformed"),
        ("a list of audiences", f.with_claims(aud=["tandem", "other"]), "bad_claims"),
        ("exp as a string", f.with_claims(exp=str(NOW + 60)), "bad_claims"),
        ("nbf as a string", f.with_claims(nbf=str(NOW)), "bad_claims"),
        ("nbf is false", f.with_claims(nbf=False), "bad_claims"),
        ("exp beyond what a double counts", f.with_claims(exp=2**53), "bad_claims"),
        ("iat is negative", f.with_claims(iat=-1), "bad_claims"),
        ("no session", f.without("sid"), "bad_claims"),
        ("no role", f.without("role"), "bad_claims"),
        ("a role that is none", f.with_claims(role="root"), "bad_claims"),
        ("sub is empty", f.with_claims(sub=""), "bad_claims"),
        ("larger than 8 KiB", f.with_claims(pad="x" * 8192), "too_large"),
        ("a newline after it", f.good + "\n", "malformed"),
        ("a character that decoders skip", f.good[:-10] + "!" + f.good[-10:], "malformed"),
    ]


def accepted(f: Forger) -> list[Any]:
    return [
        ("as issued", f.good),
        ("as issued, in bytes", f.good.encode()),
        ("typ JWT", f.with_header(typ="JWT")),
        ("times with fractions", f.with_claims(iat=NOW - 0.5, exp=NOW + 3600.5)),
        ("iat within the leeway", f.with_claims(iat=NOW + 5, nbf=NOW + 5)),
        ("a claim that is not ours", f.with_claims(note="hello")),
    ]


RINGS = [("one key", TOKENS, OURS), ("the first of two", TWO, OURS), ("the second of two", TWO, FORGERS[1])]


def named(*tables: Callable[[Forger], list[Any]]) -> list[Any]:
    """Every case of these tables, forged with every key that some server takes; the server's tokens come first."""
    return [
        pytest.param(tokens, *case[1:], id=f"{case[0]}, {ring}")
        for ring, tokens, forger in RINGS
        for table in tables
        for case in table(forger)
    ]


@pytest.mark.parametrize(("tokens", "token", "reason"), named(refused_by_both, refused_here))
def test_a_token_that_is_not_ours_is_refused_for_its_reason(tokens: Tokens, token: str | bytes, reason: Reason) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        tokens.verify(token, NOW)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(("key", "token"), [(f.key, case[1]) for f in FORGERS for case in refused_by_both(f)])
def test_pyjwt_refuses_it_too(key: bytes, token: str | bytes) -> None:
    assert not pyjwt_accepts(token, key)


@pytest.mark.parametrize(("tokens", "token"), named(accepted))
def test_a_token_of_ours_is_accepted_here_and_by_pyjwt(tokens: Tokens, token: str | bytes) -> None:
    assert tokens.verify(token, NOW).name == "ann"
    assert any(pyjwt_accepts(token, forger.key) for forger in FORGERS)


def test_a_token_has_one_spelling() -> None:
    """base64 has bits to spare in a last character: three others would be read as the same signature."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    last = letters.index(OURS.good[-1])
    for spare in range(1, 4):
        with pytest.raises(Unauthenticated, match="malformed"):
            TOKENS.verify(OURS.good[:-1] + letters[last ^ spare], NOW)


def test_the_first_key_signs_and_every_key_verifies() -> None:
    assert TWO.issue("ann", "analyst", "s1", NOW) == OURS.good
    assert [TWO.verify(forger.good, NOW).name for forger in FORGERS] == ["ann", "ann"]


def test_a_token_is_checked_by_the_key_that_it_names_and_by_no_other() -> None:
    ours, old = FORGERS
    for named_by, signed_by in ((ours, old), (old, ours)):
        with pytest.raises(Unauthenticated, match="bad_signature"):
            TWO.verify(signed(named_by.header, named_by.claims, signed_by.key), NOW)


def test_a_key_that_was_taken_away_verifies_no_more_and_a_new_one_signs() -> None:
    tokens = Tokens(OLD_KEY)
    tokens.use(KEY, OLD_KEY)
    assert tokens.issue("ann", "analyst", "s1", NOW) == OURS.good
    tokens.use(KEY)
    with pytest.raises(Unauthenticated, match="bad_header"):
        tokens.verify(FORGERS[1].good, NOW)


@pytest.mark.parametrize("depth", [500, 1500, 2800])
@pytest.mark.parametrize("where", ["header", "claims"])
def test_nesting_of_any_depth_is_refused(where: str, depth: int) -> None:
    """From some depth on, which differs between versions of Python, json raises RecursionError."""
    token = OURS.signed(nested(depth), OURS.claims) if where == "header" else OURS.signed(OURS.header, nested(depth))
    with pytest.raises(Unauthenticated, match=r"malformed|bad_header|bad_claims"):
        TOKENS.verify(token, NOW)
    assert not pyjwt_accepts(token)


def test_a_token_says_what_was_issued() -> None:
    assert TOKENS.verify(OURS.good, NOW) == Claims("ann", "analyst", "s1", NOW, NOW + 3600)


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
    assert part_of(other, 0)["kid"] != OURS.header["kid"]
    with pytest.raises(Unauthenticated, match="bad_header"):
        TOKENS.verify(other, NOW)


def test_the_key_id_does_not_give_the_key_away() -> None:
    assert OURS.header["kid"] not in (KEY.hex()[:16], hashlib.sha256(KEY).hexdigest()[:16])


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_short_key_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Tokens(b"k" * length)


@pytest.mark.parametrize(
    "key",
    [
        b"-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----",
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----",
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA ann@example",
    ],
)
def test_a_pem_file_or_the_first_line_of_one_or_a_ssh_key_is_no_key(key: bytes) -> None:
    with pytest.raises(ValueError, match="not a PEM"):
        Tokens(key)


def test_the_signature_is_checked_by_cryptography() -> None:
    assert [type(key.inner) for key in TWO._keys.values()] == [CryptographyHMACKey] * 2


@given(st.text() | st.binary())
def test_whatever_comes_only_unauthenticated_leaves(token: str | bytes) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.verify(token, NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(OURS.claims)), JSON)
def test_a_signed_claim_of_any_value_is_accepted_or_unauthenticated(claim: str, value: Any) -> None:
    try:
        TOKENS.verify(OURS.with_claims(**{claim: value}), NOW)
    except Unauthenticated:
        return
    assert claim in ("exp", "iat", "nbf", "sub", "sid", "role") or value == OURS.claims[claim]


@given(st.sampled_from(sorted(OURS.header)), JSON)
def test_a_signed_header_of_any_other_value_is_refused(field: str, value: Any) -> None:
    if value in (OURS.header[field], "JWT"):
        return
    with pytest.raises(Unauthenticated):
        TOKENS.verify(OURS.with_header(**{field: value}), NOW)
