"""Access tokens of identity providers: those forged as in test_tokens.py, others, and the shapes of real providers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from auth.credentials.oidc import Identity
from auth.credentials.providers import Providers
from auth.errors import AuthError, NoRole, Reason, Unauthenticated
from auth.tokens import Tokens
from tests.auth.conftest import write
from tests.auth.credentials.conftest import ISSUER, Imitation, by_ec, by_rsa, ec_entry, ec_key, rsa_entry, rsa_key
from tests.auth.forged import Forger, by_secret, nested, refused_by_both, refused_here

NOW = int(time.time())  # PyJWT reads the wall clock, so the tokens it judges are of today
PLAIN = f"""
[plain]
issuer = "{ISSUER}"
audiences = ["tandem", "api://tandem"]
map = {{ scorers = "scorer", analysts = "analyst", bosses = "admin" }}
roles = [["roles"], ["groups"], ["realm_access", "roles"]]
"""


def claims_of(**more: Any) -> dict[str, Any]:
    times = {"iat": NOW, "nbf": NOW, "exp": NOW + 3600}
    return (
        {"iss": ISSUER, "aud": "tandem", "sub": "ann", "azp": "app", "scope": "openid", "roles": ["scorers"]}
        | times
        | more
    )


def forger_of(kid: str = "one", claims: dict[str, Any] | None = None) -> Forger:
    header = {"alg": "RS256", "typ": "JWT", "kid": kid}
    return Forger(header, claims or claims_of(), by_rsa(rsa_key(kid)), by_rsa(rsa_key("stranger")), NOW, 16 * 1024)


ONE, TWO = forger_of("one"), forger_of("two")
KEYS = [rsa_entry(kid, rsa_key(kid)) for kid in ("one", "two")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("identity")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Providers:
    return Providers(write(folder / "plain", PLAIN), Imitation(*KEYS))  # type: ignore[arg-type]


def identity(providers: Providers, token: str | bytes, now: float = NOW) -> Identity:
    return asyncio.run(providers.identity(token, now))


def refusal(providers: Providers, token: str | bytes) -> AuthError:
    with pytest.raises(AuthError) as refused:
        identity(providers, token)
    return refused.value


def pem(kid: str) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return rsa_key(kid).public_key().public_bytes(serialization.Encoding.PEM, form)


def der(kid: str) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return rsa_key(kid).public_key().public_bytes(serialization.Encoding.DER, form)


def pyjwt_accepts(token: str | bytes, kid: str) -> bool:
    required = {"require": ["exp", "iat", "aud", "iss", "sub"]}
    about: dict[str, Any] = {"audience": "tandem", "issuer": ISSUER, "leeway": 60, "options": required}
    try:
        pyjwt.decode(token, pem(kid), algorithms=["RS256"], **about)
    except (pyjwt.PyJWTError, ValueError, TypeError, RecursionError):
        return False
    return True


def refused_of_providers(f: Forger) -> list[Any]:
    confused = f.header | {"alg": "HS256"}
    return [
        ("HMAC by the public key as PEM", Forger(confused, f.claims, by_secret(pem("one")), f.sign, NOW, 0).good),
        ("HMAC by the public key as DER", Forger(confused, f.claims, by_secret(der("one")), f.sign, NOW, 0).good),
        ("HMAC by an empty key", Forger(confused, f.claims, by_secret(b""), f.sign, NOW, 0).good),
        ("alg is ES256", f.with_header(alg="ES256")),
        ("a token of ours", Tokens(bytes(32)).issue("ann", "admin", "s1", NOW)),
        ("an issuer that is a list", f.with_claims(iss=[ISSUER])),
        ("the issuer with a slash", f.with_claims(iss=ISSUER + "/")),
        ("an audience in another case", f.with_claims(aud="TANDEM")),
        ("an audience that is an object", f.with_claims(aud={"tandem": 1})),
        ("an audience of audiences", f.with_claims(aud=[["tandem"]])),
        ("it lives for 29 hours", f.with_claims(exp=NOW + 29 * 3600)),
        ("no client", f.without("azp")),
        ("two clients", f.with_claims(appid="other")),
        ("a client that is empty", f.with_claims(azp="")),
        ("an ID token by typ", f.with_claims(typ="ID")),
        ("an ID token by at_hash", f.with_claims(at_hash="x")),
        ("an ID token by c_hash", f.with_claims(c_hash="x")),
        ("an ID token by nonce", f.with_claims(nonce="x")),
        ("an ID token by having no scope and no roles", f.without("scope", "roles")),
        ("a subject with a line break", f.with_claims(sub="ann\nroot")),
        ("a subject of 256 characters", f.with_claims(sub="a" * 256)),
        ("a scope that is a number", f.with_claims(scope=7)),
        ("roles that are a number", f.with_claims(roles=7)),
        ("roles that hold a number", f.with_claims(roles=["scorers", 7])),
    ]


CASES = [
    pytest.param(*case[1:], id=f"{case[0]}, {kid}")
    for kid, forger in (("one", ONE), ("two", TWO))
    for table in (refused_by_both, refused_here)
    for case in table(forger)
]


@pytest.mark.parametrize(("token", "reason"), CASES)
def test_a_forged_token_is_refused_for_the_reason_that_one_of_ours_is(
    plain: Providers, token: str | bytes, reason: Reason
) -> None:
    refused = refusal(plain, token)
    assert isinstance(refused, Unauthenticated)
    assert refused.reason == reason


@pytest.mark.parametrize("token", [case[1] for case in refused_by_both(ONE)])
def test_pyjwt_refuses_it_too(token: str | bytes) -> None:
    assert not pyjwt_accepts(token, "one")


@pytest.mark.parametrize("token", [pytest.param(case[1], id=case[0]) for case in refused_of_providers(ONE)])
def test_a_token_that_is_no_access_token_for_us_is_refused(plain: Providers, token: str) -> None:
    refused = refusal(plain, token)
    assert isinstance(refused, Unauthenticated)
    assert refused.rule


def test_a_token_is_checked_by_the_key_that_it_names_and_by_no_other(plain: Providers) -> None:
    for token in (ONE.forged(TWO.sign), TWO.forged(ONE.sign)):
        assert str(refusal(plain, token)).startswith("bad_signature")


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({}, id="as it is"),
        pytest.param({"aud": ["other", "api://tandem"]}, id="one audience of several"),
        pytest.param({"exp": NOW - 30}, id="expired within the skew"),
        pytest.param({"iat": NOW + 30, "nbf": NOW + 30}, id="from the future within the skew"),
        pytest.param({"typ": "Bearer", "nonce": "x"}, id="an old Keycloak's, with a nonce"),
        pytest.param({"roles": "scorers"}, id="one role that is no list"),
        pytest.param({"scope": ["openid", "email"]}, id="scopes in a list"),
        pytest.param({"client_id": "app"}, id="the client named twice alike"),
    ],
)
def test_a_good_token_is_accepted(plain: Providers, claims: dict[str, Any]) -> None:
    found = identity(plain, ONE.with_claims(**claims))
    assert (found.name, found.kind, found.client, found.roles) == ("plain:ann", "person", "app", ("scorer",))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_types_of_access_tokens_are_accepted_and_so_is_none(plain: Providers, typ: str) -> None:
    assert identity(plain, ONE.with_header(typ=typ)).name == "plain:ann"
    assert identity(plain, ONE.without_header("typ")).name == "plain:ann"
    assert identity(plain, ONE.without("nbf")).name == "plain:ann"


def test_pyjwt_accepts_a_good_one() -> None:
    assert pyjwt_accepts(ONE.good, "one")


def test_a_provider_of_elliptic_keys_is_held_to_them(folder: Path) -> None:
    text = PLAIN + 'algorithm = "ES256"\n'
    provider = Imitation(ec_entry("curve", ec_key("curve")), rsa_entry("one", rsa_key("one")))
    providers = Providers(write(folder / "elliptic", text), provider)  # type: ignore[arg-type]
    header = {"alg": "ES256", "kid": "curve"}
    curve = Forger(header, claims_of(), by_ec(ec_key("curve")), by_ec(ec_key("stranger")), NOW, 0)
    assert identity(providers, curve.good).name == "plain:ann"
    assert str(refusal(providers, curve.forged(curve.by_another))).startswith("bad_signature")
    assert str(refusal(providers, ONE.good)).startswith("bad_header")


def test_keycloaks_roles_are_inside_of_another_claim(plain: Providers) -> None:
    forger = forger_of(claims=claims_of(typ="Bearer", realm_access={"roles": ["bosses", "offline_access"]}))
    assert identity(plain, forger.without("roles")).roles == ("admin",)


def test_several_roles_and_groups_count_together(plain: Providers) -> None:
    found = identity(plain, ONE.with_claims(roles=["scorers", "else"], groups=["bosses"]))
    assert found.roles == ("admin", "scorer")
    assert found.groups == ("plain:bosses",)


def test_three_hundred_groups_are_read(plain: Providers) -> None:
    found = identity(plain, ONE.with_claims(roles=[], groups=[*(f"group {n}" for n in range(299)), "analysts"]))
    assert (found.roles, len(found.groups)) == (("analyst",), 300)


@pytest.mark.parametrize("claims", [{"roles": []}, {"roles": ["nobody"]}, {"roles": ["SCORERS"], "groups": []}])
def test_without_a_role_that_is_mapped_nobody_is_let_in_and_the_claims_are_named(
    plain: Providers, claims: dict[str, Any]
) -> None:
    refused = refusal(plain, ONE.with_claims(**claims))
    assert isinstance(refused, NoRole)
    assert "realm_access.roles" in refused.explanation
    assert "azp" in refused.explanation
    assert "nobody" not in refused.explanation


def test_only_named_clients_are_taken_where_clients_are_named(folder: Path) -> None:
    providers = Providers(write(folder / "clients", PLAIN + 'clients = ["app"]\n'), Imitation(*KEYS))  # type: ignore[arg-type]
    assert identity(providers, ONE.good).client == "app"
    assert "client" in str(refusal(providers, ONE.with_claims(azp="other")))


@pytest.mark.parametrize("depth", [500, 1500, 2800])
@pytest.mark.parametrize("where", ["header", "claims"])
def test_nesting_of_any_depth_is_refused(plain: Providers, where: str, depth: int) -> None:
    token = ONE.signed(nested(depth), ONE.claims) if where == "header" else ONE.signed(ONE.header, nested(depth))
    assert isinstance(refusal(plain, token), Unauthenticated)


@given(token=st.text() | st.binary())
def test_whatever_comes_only_unauthenticated_leaves(plain: Providers, token: str | bytes) -> None:
    assert isinstance(refusal(plain, token), Unauthenticated)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(claim=st.sampled_from([*sorted(ONE.claims), "groups", "realm_access", "tid", "_claim_names"]), value=JSON)
def test_a_signed_claim_of_any_value_is_accepted_or_refused(plain: Providers, claim: str, value: Any) -> None:
    try:
        identity(plain, ONE.with_claims(**{claim: value}))
    except AuthError:
        return
    assert (
        claim not in ("iss", "aud", "azp") or value == ONE.claims[claim] or (claim == "azp" and isinstance(value, str))
    )


def test_groups_that_make_a_token_larger_than_16_kib_are_more_than_it_may_have(plain: Providers) -> None:
    refused = refusal(plain, ONE.with_claims(groups=[f"{n:08x}-a31e-4b4a-93e4-5f571e91255a" for n in range(400)]))
    assert isinstance(refused, Unauthenticated)
    assert refused.reason == "too_large"
