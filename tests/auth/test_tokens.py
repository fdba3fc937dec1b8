"""The known weaknesses of python-jose (key confusion, an empty key, `none`), with PyJWT as a second opinion."""

import hashlib
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
from tests.auth.forged import Forger, by_secret, nested, part_of, refused_by_both, refused_here

KEY = bytes(range(32))
OLD_KEY = bytes(range(1, 33))
OTHER_KEY = bytes(range(2, 34))
NOW = int(time.time())  # PyJWT reads the wall clock, so the tokens it judges are of today
TOKENS = Tokens(KEY)
TWO = Tokens(KEY, OLD_KEY)


def forger_of(key: bytes) -> Forger:
    good = Tokens(key).issue("ann", "analyst", "s1", NOW)
    return Forger(part_of(good, 0), part_of(good, 1), by_secret(key), by_secret(OTHER_KEY), NOW, 8192)


OURS = forger_of(KEY)
FORGERS = {KEY: OURS, OLD_KEY: forger_of(OLD_KEY)}


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


def refused_of_ours(f: Forger) -> list[Any]:
    """Refused here, where a token of a provider would not be."""
    return [
        ("signed with an empty key", f.forged(by_secret(b"")), "bad_signature"),
        ("no nbf", f.without("nbf"), "bad_claims"),
        ("alg is RS256", f.with_header(alg="RS256"), "bad_header"),
        ("typ is missing", f.without_header("typ"), "bad_header"),
        ("kid is the key", f.with_header(kid=KEY.hex()), "bad_header"),
        ("a list of audiences", f.with_claims(aud=["tandem", "other"]), "bad_claims"),
        ("no session", f.without("sid"), "bad_claims"),
        ("no role", f.without("role"), "bad_claims"),
        ("a role that cannot be one", f.with_claims(role="Root!"), "bad_claims"),
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


RINGS = [("one key", TOKENS, OURS), ("the first of two", TWO, OURS), ("the second of two", TWO, FORGERS[OLD_KEY])]


def named(*tables: Callable[[Forger], list[Any]]) -> list[Any]:
    """Every case of these tables, forged with every key that some server takes; the server's tokens come first."""
    return [
        pytest.param(tokens, *case[1:], id=f"{case[0]}, {ring}")
        for ring, tokens, forger in RINGS
        for table in tables
        for case in table(forger)
    ]


@pytest.mark.parametrize(("tokens", "token", "reason"), named(refused_by_both, refused_here, refused_of_ours))
def test_a_token_that_is_not_ours_is_refused_for_its_reason(tokens: Tokens, token: str | bytes, reason: Reason) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        tokens.verify(token, NOW)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("key", "token"), [(key, case[1]) for key, f in FORGERS.items() for case in refused_by_both(f)]
)
def test_pyjwt_refuses_it_too(key: bytes, token: str | bytes) -> None:
    assert not pyjwt_accepts(token, key)


@pytest.mark.parametrize(("tokens", "token"), named(accepted))
def test_a_token_of_ours_is_accepted_here_and_by_pyjwt(tokens: Tokens, token: str | bytes) -> None:
    assert tokens.verify(token, NOW).name == "ann"
    assert any(pyjwt_accepts(token, key) for key in FORGERS)


def test_a_token_has_one_spelling() -> None:
    """base64 has bits to spare in a last character: three others would be read as the same signature."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    last = letters.index(OURS.good[-1])
    for spare in range(1, 4):
        with pytest.raises(Unauthenticated, match="malformed"):
            TOKENS.verify(OURS.good[:-1] + letters[last ^ spare], NOW)


def test_the_first_key_signs_and_every_key_verifies() -> None:
    assert TWO.issue("ann", "analyst", "s1", NOW) == OURS.good
    assert [TWO.verify(forger.good, NOW).name for forger in FORGERS.values()] == ["ann", "ann"]


def test_a_token_is_checked_by_the_key_that_it_names_and_by_no_other() -> None:
    ours, old = FORGERS.values()
    for named_by, signed_by in ((ours, old), (old, ours)):
        with pytest.raises(Unauthenticated, match="bad_signature"):
            TWO.verify(named_by.forged(signed_by.sign), NOW)


def test_a_key_that_was_taken_away_verifies_no_more_and_a_new_one_signs() -> None:
    tokens = Tokens(OLD_KEY)
    tokens.use(KEY, OLD_KEY)
    assert tokens.issue("ann", "analyst", "s1", NOW) == OURS.good
    tokens.use(KEY)
    with pytest.raises(Unauthenticated, match="bad_header"):
        tokens.verify(FORGERS[OLD_KEY].good, NOW)


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
