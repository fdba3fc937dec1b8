"""The console's session: begun with a password, confirmed by it, ended by signing out or by another password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from auth.console_sessions import LIFE_S, Vouched
from auth.credentials.session_cookie import COOKIE
from auth.routes.closed import CONFIRMED_FOR_S
from auth.setup import Auth, open_auth, prepare
from auth.store import narrowing
from tests.auth.conftest import line, write
from tests.auth.test_routes import PASSWORD, Client, client_of

OURS = {"sec-fetch-site": "same-origin"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auth(tmp_path: Path, clock: Clock) -> Iterator[Auth]:
    prepare(tmp_path, 0.0)
    opened = open_auth(tmp_path, clock)
    opened.accounts.add("root", "admin", PASSWORD, 0.0)
    opened.accounts.add("ann", "scorer", PASSWORD, 0.0)
    yield opened
    opened.close()


@pytest.fixture
def in_file(tmp_path: Path, clock: Clock) -> Iterator[tuple[Auth, Path]]:
    """Accounts in a file, and the file."""
    accounts = write(tmp_path / "shared", line("root", "admin"), line("ann"))
    key = write(tmp_path / "token.key", "k" * 32)
    opened = open_auth(tmp_path / "none", clock, accounts_file=accounts, key_file=key)
    yield opened, accounts
    opened.close()


@pytest.fixture
def client(auth: Auth) -> Client:
    return client_of(auth)


def begin(client: Client, name: str = "root", password: str = PASSWORD, **headers: str) -> Response:
    return client.post("/auth/session", json={"name": name, "password": password}, headers=OURS | headers)


def cookie(reply: Response) -> dict[str, str]:
    """The headers of a browser that has got this answer."""
    name, _, value = reply.headers["set-cookie"].partition(";")[0].partition("=")
    assert name == COOKIE
    return OURS | {"cookie": f"{COOKIE}={value}"}


def session(client: Client, browser: dict[str, str]) -> Response:
    return client.get("/auth/session", headers=browser)


def test_a_password_gives_a_cookie_that_no_script_can_read(client: Client) -> None:
    reply = begin(client)
    assert (reply.status_code, reply.content) == (204, b"")
    attributes = set(reply.headers["set-cookie"].split("; ")[1:])
    assert attributes == {f"Max-Age={int(LIFE_S)}", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"}
    assert session(client, cookie(reply)).json() == {
        "name": "root",
        "signed_in_at": 1000.0,
        "confirmed_until": 1000.0 + CONFIRMED_FOR_S,
        "expires_at": 1000.0 + LIFE_S,
    }
    assert client.get("/auth/me", headers=cookie(reply)).json()["credential"] == "session"


@pytest.mark.parametrize(
    ("name", "password"), [("root", "wrong horse"), ("nobody", PASSWORD), ("x" * 300, "y"), ("", "")]
)
def test_a_wrong_password_and_an_unknown_name_read_the_same_and_give_no_cookie(
    client: Client, name: str, password: str
) -> None:
    reply = begin(client, name, password)
    assert (reply.status_code, reply.json()) == (401, begin(client, "ann", "wrong horse").json())
    assert "set-cookie" not in reply.headers


def test_guesses_are_limited_as_everywhere(client: Client) -> None:
    statuses = [begin(client, "ann", "wrong horse").status_code for _ in range(7)]
    assert statuses[0] == 401 and statuses[-1] == 429


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("GET", ""), ("DELETE", ""), ("POST", "/confirm")])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_a_page_of_another_site_can_neither_sign_in_nor_out(client: Client, method: str, path: str, site: str) -> None:
    browser = cookie(begin(client)) | {"sec-fetch-site": site}
    content = {"name": "ann", "password": PASSWORD} if method == "POST" else None
    assert client.request(method, f"/auth/session{path}", headers=browser, json=content).status_code == 403
    assert session(client, browser | OURS).status_code == 200


def test_signing_in_again_ends_what_the_browser_had_and_gives_another_secret(client: Client) -> None:
    first = cookie(begin(client))
    second = cookie(begin(client, "ann", **first))
    assert first != second
    assert session(client, first).status_code == 401
    assert session(client, second).json()["name"] == "ann"


def test_a_cookie_that_somebody_else_planted_is_not_taken_over(client: Client) -> None:
    planted = OURS | {"cookie": f"{COOKIE}=known-to-the-attacker"}
    mine = cookie(begin(client, **planted))
    assert "known-to-the-attacker" not in mine["cookie"]
    assert session(client, planted).status_code == 401


def test_signing_out_ends_it_at_once(client: Client) -> None:
    browser = cookie(begin(client))
    reply = client.delete("/auth/session", headers=browser)
    assert (reply.status_code, "Max-Age=0" in reply.headers["set-cookie"]) == (204, True)
    assert session(client, browser).status_code == 401


def test_a_token_has_no_session(client: Client) -> None:
    form = {"grant_type": "password", "username": "ann", "password": PASSWORD}
    token = client.post("/auth/token", data=form).json()["access_token"]
    bearer = OURS | {"authorization": f"Bearer {token}"}
    assert session(client, bearer).status_code == 401
    assert client.post("/auth/session/confirm", json={"password": PASSWORD}, headers=bearer).status_code == 401


# Confirming


def make_role(client: Client, headers: dict[str, str]) -> int:
    return client.put("/auth/roles/watcher", json={"permissions": ["list"]}, headers=headers).status_code


def test_accounts_are_changed_only_within_a_quarter_of_an_hour_of_signing_in(client: Client, clock: Clock) -> None:
    browser = cookie(begin(client))
    assert make_role(client, browser) == 200
    clock.now += CONFIRMED_FOR_S
    assert make_role(client, browser) == 403
    assert client.get("/auth/roles", headers=browser).status_code == 200, "reading needs no confirmation"
    wrong = client.post("/auth/session/confirm", json={"password": "wrong horse"}, headers=browser)
    assert (wrong.status_code, make_role(client, browser)) == (401, 403)
    right = client.post("/auth/session/confirm", json={"password": PASSWORD}, headers=browser)
    assert (right.status_code, make_role(client, cookie(right))) == (204, 200)


def test_a_clock_that_was_set_back_lets_nobody_change_accounts_for_longer(client: Client, clock: Clock) -> None:
    browser = cookie(begin(client))
    clock.now -= 600
    assert make_role(client, browser) == 403


def test_a_token_needs_no_confirmation(client: Client, clock: Clock) -> None:
    form = {"grant_type": "password", "username": "root", "password": PASSWORD}
    token = client.post("/auth/token", data=form).json()["access_token"]
    clock.now += CONFIRMED_FOR_S
    assert make_role(client, {"authorization": f"Bearer {token}"}) == 200


def test_guesses_at_a_confirmation_are_limited(client: Client) -> None:
    browser = cookie(begin(client))
    guess: dict[str, Any] = {"json": {"password": "wrong horse"}, "headers": browser}
    statuses = [client.post("/auth/session/confirm", **guess).status_code for _ in range(7)]
    assert statuses[0] == 401 and statuses[-1] == 429


# A password of one's own


def change(client: Client, headers: dict[str, str], current: str = PASSWORD) -> Response:
    content = {"current": current, "new": "another horse"}
    return client.put("/auth/me/password", json=content, headers=headers)


def test_a_new_password_ends_every_other_session(client: Client) -> None:
    mine, another = (cookie(begin(client, "ann")) for _ in range(2))
    form = {"grant_type": "password", "username": "ann", "password": PASSWORD}
    token = {"authorization": f"Bearer {client.post('/auth/token', data=form).json()['access_token']}"}
    assert change(client, mine).status_code == 204
    assert [client.get("/auth/me", headers=one).status_code for one in (mine, another, token)] == [200, 401, 401]
    assert (begin(client, "ann").status_code, begin(client, "ann", "another horse").status_code) == (401, 204)


def test_by_token_it_is_the_tokens_session_that_goes_on(client: Client) -> None:
    form = {"grant_type": "password", "username": "ann", "password": PASSWORD}
    mine, another = (client.post("/auth/token", data=form).json() for _ in range(2))
    bearers = [{"authorization": f"Bearer {one['access_token']}"} for one in (mine, another)]
    assert change(client, bearers[0]).status_code == 204
    assert [client.get("/auth/me", headers=one).status_code for one in bearers] == [200, 401]


@pytest.mark.parametrize(
    ("current", "new", "status"), [("wrong horse", "another horse", 401), (PASSWORD, "short", 422)]
)
def test_a_wrong_or_a_bad_password_changes_nothing(client: Client, current: str, new: str, status: int) -> None:
    browser, content = cookie(begin(client, "ann")), {"current": current, "new": new}
    assert client.put("/auth/me/password", json=content, headers=browser).status_code == status
    assert begin(client, "ann").status_code == 204


def test_whom_a_provider_vouches_for_has_no_password_here(auth: Auth, client: Client, clock: Clock) -> None:
    secret = auth.console.open_for_provider(Vouched("idp:ann", "idp", ("admin",), (), clock.now), clock.now)
    browser = OURS | {"cookie": f"{COOKIE}={secret}"}
    assert change(client, browser).status_code == 401, "there is no such provider any more"


def test_an_admin_signs_somebody_out_everywhere_and_their_keys_stay(auth: Auth, client: Client) -> None:
    admin, browser = cookie(begin(client)), cookie(begin(client, "ann"))
    form = {"grant_type": "password", "username": "ann", "password": PASSWORD}
    token = {"authorization": f"Bearer {client.post('/auth/token', data=form).json()['access_token']}"}
    made = auth.accounts.keys.add("ann", "n", narrowing(["score"], ["*"]), 1, "root", 1000.0)
    key = {"api-key": next(iter(made.texts.values()))}
    assert client.delete("/auth/accounts/ann/sessions", headers=browser).status_code == 403
    assert client.delete("/auth/accounts/ann/sessions", headers=admin).status_code == 204
    assert [client.get("/auth/me", headers=one).status_code for one in (browser, token, key)] == [401, 401, 200]
    assert client.get("/auth/accounts/ann", headers=admin).json()["role"] == "scorer"
    for method, path in (("DELETE", "/auth/accounts/nobody/sessions"), ("GET", "/auth/accounts/nobody")):
        assert client.request(method, path, headers=admin).status_code == 404


# Accounts in a file


def test_where_accounts_are_in_a_file_the_cookie_itself_is_signed(in_file: tuple[Auth, Path], clock: Clock) -> None:
    auth, _ = in_file
    client = client_of(auth)
    browser = cookie(begin(client))
    assert session(client, browser).json()["expires_at"] == 1000.0 + LIFE_S
    assert client.get("/auth/me", headers=browser).json()["role"] == "admin"
    clock.now += CONFIRMED_FOR_S
    assert make_role(client, browser) == 403
    confirmed = client.post("/auth/session/confirm", json={"password": PASSWORD}, headers=browser)
    assert make_role(client, cookie(confirmed)) == 409
    clock.now += LIFE_S - CONFIRMED_FOR_S
    assert session(client, cookie(confirmed)).status_code == 401, "confirming does not prolong it"


def test_such_a_session_ends_with_its_line(in_file: tuple[Auth, Path]) -> None:
    auth, file = in_file
    client = client_of(auth)
    browser = cookie(begin(client, "ann"))
    assert session(client, browser).status_code == 200
    write(file, line("root", "admin"), line("ann", "analyst"))
    for _ in range(3):
        auth.accounts.change_counter()
    assert session(client, browser).status_code == 401


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "é"])
def test_a_cookie_that_nobody_signed_is_nobodys(in_file: tuple[Auth, Path], value: str) -> None:
    browser: Any = [(b"sec-fetch-site", b"same-origin"), (b"cookie", f"{COOKIE}={value}".encode())]
    assert client_of(in_file[0]).get("/auth/session", headers=browser).status_code == 401


def test_an_access_token_is_no_cookie(in_file: tuple[Auth, Path]) -> None:
    client = client_of(in_file[0])
    form = {"grant_type": "password", "username": "root", "password": PASSWORD}
    token = client.post("/auth/token", data=form).json()["access_token"]
    assert session(client, OURS | {"cookie": f"{COOKIE}={token}"}).status_code == 401
    sealed = cookie(begin(client))["cookie"].partition("=")[2]
    assert client.get("/auth/me", headers={"authorization": f"Bearer {sealed}"}).status_code == 401
