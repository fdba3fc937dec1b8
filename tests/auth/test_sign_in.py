"""Signing in with an identity provider: what comes back is taken only if it answers what this browser was sent with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from auth.credentials.fetch import FetchRefused
from auth.credentials.providers import Providers
from auth.errors import AuthError, NoRole, ProviderUnavailable, SignInFailed, Unauthenticated
from auth.sign_in import LIFE_S, SignIn, Started
from auth.tokens import Tokens
from tests.auth.conftest import write
from tests.auth.credentials.conftest import ISSUER, Clock, Imitation, by_rsa, rsa_entry, rsa_key
from tests.auth.forged import Forger

HOST = "tandem.example.org"
CALLBACK = f"https://{HOST}/auth/oidc/idp/callback"
FILE = f"""
[idp]
issuer = "{ISSUER}"
audiences = ["api"]
map = {{ scorers = "scorer" }}
client_id = "console"
client_secret_file = "SECRET"
redirects = ["{CALLBACK}"]

[programs]
issuer = "https://programs.example.org"
audiences = ["api"]
map = {{ scorers = "scorer" }}
"""
ENDPOINTS = {
    "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
    "token_endpoint": f"{ISSUER}/token",
    "authorization_response_iss_parameter_supported": True,
}


class SigningIn(Imitation):
    """A provider that swaps a code for an ID token, of which one thing may be otherwise."""

    def __init__(self, now: float) -> None:
        super().__init__(rsa_entry("one", rsa_key("one")), **ENDPOINTS)
        self.now = int(now)
        self.nonce = ""
        self.spoilt: dict[str, Any] = {}
        self.posted: list[tuple[Mapping[str, str], object]] = []
        self.answer: dict[str, Any] | None = None
        self.refusal: int | None = None

    async def post(self, url: str, form: Mapping[str, str], login: object = None) -> dict[str, Any]:
        self.posted.append((form, login))
        if self.refusal is not None:
            raise FetchRefused(url, self.refusal)
        return self.answer if self.answer is not None else {"id_token": self.id_token()}

    def id_token(self, key: str = "one") -> str:
        claims = {"iss": ISSUER, "aud": "console", "sub": "ann", "nonce": self.nonce, "roles": ["scorers"]}
        claims |= {"iat": self.now, "exp": self.now + 300, "at_hash": "x"} | self.spoilt
        sign = by_rsa(rsa_key(key))
        return Forger({"alg": "RS256", "kid": "one"}, claims, sign, sign, 0, 0).good


@pytest.fixture
def provider(clock: Clock) -> SigningIn:
    return SigningIn(clock.now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sign_in(tmp_path: Path, provider: SigningIn, clock: Clock) -> SignIn:
    secret = write(tmp_path / "secret", "hunter2")
    providers = Providers(write(tmp_path / "identity", FILE.replace("SECRET", str(secret))), provider)  # type: ignore[arg-type]
    return SignIn(providers, Tokens(bytes(32)), clock)


def begin(sign_in: SignIn, following: str = "/") -> tuple[Started, dict[str, str]]:
    started = asyncio.run(sign_in.start("idp", HOST, following))
    return started, {name: values[0] for name, values in parse_qs(urlsplit(started.url).query).items()}


def finish(sign_in: SignIn, provider: SigningIn, following: str = "/", **changes: str | None) -> Any:
    started, question = begin(sign_in, following)
    provider.nonce = question["nonce"]
    answer = {"code": "c", "state": question["state"], "iss": ISSUER} | changes
    given = {name: value for name, value in answer.items() if value is not None}
    return asyncio.run(sign_in.finish("idp", started.kept, given))


def test_a_browser_is_sent_with_a_challenge_a_state_and_a_nonce(sign_in: SignIn) -> None:
    started, question = begin(sign_in)
    assert started.url.startswith(f"{ISSUER}/authorize?tenant=1&response_type=code&")
    assert (question["client_id"], question["redirect_uri"]) == ("console", CALLBACK)
    assert question["code_challenge_method"] == "S256"
    assert len({question["state"], question["nonce"], question["code_challenge"]}) == 3
    assert begin(sign_in)[1]["state"] != question["state"]


def test_who_signs_in_has_the_roles_of_the_id_token(sign_in: SignIn, provider: SigningIn) -> None:
    who, following = finish(sign_in, provider, "/console/models")
    assert (who.name, who.roles, following) == ("idp:ann", ("scorer",), "/console/models")
    form, login = provider.posted[0]
    assert login == ("console", "hunter2")
    assert (form["code"], form["redirect_uri"]) == ("c", CALLBACK)
    assert len(form["code_verifier"]) >= 43  # RFC 7636, 4.1


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "x"},
        {"state": None},
        {"iss": "https://other.example.org"},
        {"iss": None},
        {"code": None},
        {"code": ""},
        {"error": "access_denied"},
    ],
    ids=str,
)
def test_an_answer_to_another_question_is_not_taken(
    sign_in: SignIn, provider: SigningIn, changes: dict[str, str | None]
) -> None:
    with pytest.raises(SignInFailed):
        finish(sign_in, provider, **changes)
    assert not provider.posted


@pytest.mark.parametrize(
    "spoilt",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "api"},
        {"aud": ["console", "api"], "azp": "another"},
        {"azp": 7},
        {"iss": "https://other.example.org"},
        {"exp": 0},
        {"iat": 2**40},
        {"sub": ""},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_the_answer_is_not_taken(
    sign_in: SignIn, provider: SigningIn, spoilt: dict[str, Any]
) -> None:
    provider.spoilt = spoilt
    with pytest.raises(SignInFailed):
        finish(sign_in, provider)


@pytest.mark.parametrize("answer", [{}, {"id_token": 7}, {"id_token": "x.y.z"}, {"id_token": ""}])
def test_an_answer_without_an_id_token_is_not_taken(
    sign_in: SignIn, provider: SigningIn, answer: dict[str, Any]
) -> None:
    provider.answer = answer
    with pytest.raises(SignInFailed):
        finish(sign_in, provider)


def test_an_id_token_of_another_key_is_not_taken(sign_in: SignIn, provider: SigningIn) -> None:
    provider.answer = {"id_token": provider.id_token("stranger")}
    with pytest.raises(SignInFailed):
        finish(sign_in, provider)


def test_who_has_no_role_is_told_so(sign_in: SignIn, provider: SigningIn) -> None:
    provider.spoilt = {"roles": ["strangers"]}
    with pytest.raises(NoRole):
        finish(sign_in, provider)


@pytest.mark.parametrize(("status", "error"), [(400, SignInFailed), (503, ProviderUnavailable)])
def test_a_code_that_is_refused_is_told_apart_from_a_provider_that_fails(
    sign_in: SignIn, provider: SigningIn, status: int, error: type[AuthError]
) -> None:
    provider.refusal = status
    with pytest.raises(error):
        finish(sign_in, provider)


def test_what_the_browser_kept_is_good_for_ten_minutes_for_its_provider_and_unchanged(
    sign_in: SignIn, provider: SigningIn, clock: Clock
) -> None:
    started, question = begin(sign_in)
    answer = {"code": "c", "state": question["state"], "iss": ISSUER}
    kept: list[str | None] = [None, "", started.kept[:-2], "a.b.c", started.kept + "A"]
    for spoilt in kept:
        with pytest.raises(SignInFailed, match="began no sign-in"):
            asyncio.run(sign_in.finish("idp", spoilt, answer))
    clock.now += LIFE_S
    with pytest.raises(SignInFailed, match="began no sign-in"):
        asyncio.run(sign_in.finish("idp", started.kept, answer))


def test_what_is_kept_is_no_access_token_and_no_access_token_is_kept() -> None:
    tokens = Tokens(bytes(32))
    with pytest.raises(Unauthenticated):
        tokens.verify(tokens.seal("sign-in", {"sub": "ann", "sid": "s", "role": "admin"}, 0.0, 600), 1.0)
    with pytest.raises(Unauthenticated):
        tokens.unseal("sign-in", tokens.issue("ann", "admin", "s", 0.0), 1.0)
    with pytest.raises(Unauthenticated):
        tokens.unseal("sign-in", tokens.seal("other", {"a": "b"}, 0.0, 600), 1.0)
    assert tokens.unseal("sign-in", tokens.seal("sign-in", {"a": "b"}, 0.0, 600), 1.0) == {"a": "b"}


@pytest.mark.parametrize(
    "following",
    [
        "",
        "//example.com",
        "https://example.com",
        "/\\example.com",
        "/auth/oidc/idp/start",
        "/console?x",
        "/console/..//example.org",
        "/console//example.org",
        "/console/../docs",
        "/console/\n",
        "x",
    ],
)
def test_a_browser_is_never_sent_on_to_another_host(sign_in: SignIn, following: str) -> None:
    with pytest.raises(SignInFailed, match="next is the path"):
        asyncio.run(sign_in.start("idp", HOST, following))


@pytest.mark.parametrize(("name", "host"), [("idp", "evil.example.org"), ("idp", ""), ("programs", HOST), ("x", HOST)])
def test_a_sign_in_begins_only_with_a_provider_and_at_an_address_that_the_file_names(
    sign_in: SignIn, name: str, host: str
) -> None:
    with pytest.raises(SignInFailed):
        asyncio.run(sign_in.start(name, host, "/"))
