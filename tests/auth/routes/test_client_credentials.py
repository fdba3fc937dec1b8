"""Swapping an API key for an access token, as OAuth2's clients do it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx import Response

from auth.audit import Wanted
from auth.setup import Auth, open_auth, prepare
from auth.store import AccountChange, narrowing
from auth.tokens import LIFETIME_S
from tests.auth.routes.test_session import Clock
from tests.auth.test_routes import Client, client_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auth(tmp_path: Path, clock: Clock) -> Iterator[Auth]:
    prepare(tmp_path, 0.0)
    opened = open_auth(tmp_path, clock)
    opened.accounts.add_service("batch", "analyst", 0.0)
    yield opened
    opened.close()


@pytest.fixture
def client(auth: Auth) -> Client:
    return client_of(auth)


@pytest.fixture
def key(auth: Auth) -> str:
    """A key for scoring mpg, good for a day."""
    made = auth.accounts.keys.add("batch", "nightly", narrowing(["list", "score"], ["mpg"]), 1, "root", 1000.0)
    return next(text for key, text in made.texts.items() if key == made.pair.keys[0].id)


def swap(client: Client, key: str, name: str = "batch", **more: str) -> Response:
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": key}
    return client.post("/auth/token", data=form | more)


def me(client: Client, reply: Response) -> Response:
    return client.get("/auth/me", headers={"authorization": f"Bearer {reply.json()['access_token']}"})


def test_the_token_may_do_what_the_key_may(client: Client, key: str) -> None:
    reply = swap(client, key)
    assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-store")
    assert reply.json().keys() == {"access_token", "token_type", "expires_in"}, "a key needs no refresh token"
    assert reply.json()["expires_in"] == LIFETIME_S
    told = me(client, reply).json()
    assert (told["name"], told["kind"], told["permissions"], told["models"]) == (
        *("batch", "service"),
        *(["list", "score"], ["mpg"]),
    )


@pytest.mark.parametrize("name", ["", "key", "batch"])
def test_the_client_may_say_who_it_is_by_basic(client: Client, key: str, name: str) -> None:
    basic = {"authorization": "Basic " + b64encode(f"{name}:{key}".encode()).decode()}
    reply = client.post("/auth/token", data={"grant_type": "client_credentials"}, headers=basic)
    assert me(client, reply).json()["name"] == "batch"


def test_it_ends_with_the_key_and_no_later(auth: Auth, client: Client, key: str, clock: Clock) -> None:
    clock.now += 86_400 - 60
    last = swap(client, key)
    assert last.json()["expires_in"] == 60
    clock.now += 60
    assert me(client, last).status_code == 401
    assert swap(client, key).status_code == 400


@pytest.mark.parametrize("end", ["removed", "disabled", "of another role"])
def test_it_ends_at_once_when_its_key_or_its_owner_does(auth: Auth, client: Client, key: str, end: str) -> None:
    reply = swap(client, key)
    assert me(client, reply).status_code == 200
    match end:
        case "removed":
            auth.accounts.keys.remove(auth.accounts.keys.list()[0].pair, "primary")
        case "disabled":
            auth.accounts.change("batch", AccountChange(disabled=True))
        case _:
            auth.accounts.change("batch", AccountChange(role="scorer"))
    auth.authenticator.forget_if_changed()
    assert me(client, reply).status_code == 401


def test_a_wrong_key_and_a_wrong_owner_read_the_same(client: Client, key: str) -> None:
    replies = [swap(client, wrong) for wrong in (key[:-1] + "~", "x", key.swapcase(), "\x00")]
    replies += [swap(client, key, name="ann")]
    assert {(reply.status_code, reply.json()["error"]) for reply in replies} == {(400, "invalid_client")}
    assert len({reply.text for reply in replies}) == 1


@pytest.mark.parametrize("header", ["Basic", "Basic %", "Basic /w==", "Basic eA=="])
def test_without_a_secret_or_with_two_it_is_no_request(client: Client, key: str, header: str) -> None:
    form = {"grant_type": "client_credentials"}
    for more in ({}, {"client_secret": key}):
        reply = client.post("/auth/token", data=form | more, headers={"authorization": header})
        assert (reply.status_code, reply.json()["error"] in ("invalid_request", "invalid_client")) == (400, True)


def test_the_audit_says_which_key_the_token_was_given_for(auth: Auth, client: Client, key: str) -> None:
    swap(client, key)
    row = auth.accounts.audit.rows(Wanted(action="token.issued"), 10)[0]
    assert (row.who, row.via, key[4:12] in row.more, key in row.more) == ("batch", "key", True, False)
