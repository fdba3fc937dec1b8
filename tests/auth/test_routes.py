import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from httpx import ASGITransport, AsyncClient, Response

from auth.errors import (
    AccountError,
    AccountProblem,
    AuthError,
    ConfirmFirst,
    CrossSite,
    Forbidden,
    SignInFailed,
    Throttled,
    Unauthenticated,
)
from auth.routes import require, router
from auth.setup import Auth, PeerTokens, open_auth, prepare
from tests.auth.conftest import settle, write

PASSWORD = "correct horse"
STATUS_OF_CODE = {"invalid_input": 422, "conflict": 409, "not_found": 404, "forbidden": 403}
STATUS = {Unauthenticated: 401, Forbidden: 403, Throttled: 429, CrossSite: 403, ConfirmFirst: 403, SignInFailed: 400}


class Client:
    """Asks the application as a client would, without a network between."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def request(self, method: str, path: str, **content: Any) -> Response:
        return asyncio.run(self._request(method, path, **content))

    def get(self, path: str, **content: Any) -> Response:
        return self.request("GET", path, **content)

    def post(self, path: str, **content: Any) -> Response:
        return self.request("POST", path, **content)

    def put(self, path: str, **content: Any) -> Response:
        return self.request("PUT", path, **content)

    def delete(self, path: str, **content: Any) -> Response:
        return self.request("DELETE", path, **content)

    async def _request(self, method: str, path: str, **content: Any) -> Response:
        async with AsyncClient(transport=ASGITransport(self._app), base_url="http://tandem") as http:
            return await http.request(method, path, **content)


async def shown(request: Request, refusal: Exception) -> JSONResponse:
    """Stands in for the web layer's problem documents."""
    assert isinstance(refusal, AuthError)
    if isinstance(refusal, AccountError):
        return JSONResponse({"detail": refusal.explanation}, STATUS_OF_CODE[refusal.code])
    return JSONResponse({"detail": refusal.text}, STATUS[type(refusal)])


@pytest.fixture
def auth(tmp_path: Path) -> Iterator[Auth]:
    prepare(tmp_path, 0.0)
    opened = open_auth(tmp_path)
    opened.accounts.add("root", "admin", PASSWORD, 0.0)
    opened.accounts.add("ann", "scorer", PASSWORD, 0.0)
    yield opened
    opened.close()


@pytest.fixture
def stateless(tmp_path: Path, path: Path) -> Iterator[Auth]:
    """Accounts and key in files."""
    key = write(tmp_path / "token.key", "k" * 32)
    opened = open_auth(tmp_path / "none", accounts_file=path, key_file=key)
    yield opened
    opened.close()


@pytest.fixture
def client(auth: Auth) -> Client:
    return client_of(auth)


def client_of(auth: Auth) -> Client:
    app = FastAPI()
    app.state.auth = auth
    app.include_router(router)
    for error in (*STATUS, AccountError):
        app.add_exception_handler(error, shown)

    @app.get("/details", dependencies=[Depends(require("details"))])
    async def details() -> str:
        return "details"

    return Client(app)


def sign_in(client: Client, name: str, password: str = PASSWORD) -> Response:
    form = {"grant_type": "password", "username": name, "password": password}
    return client.post("/auth/token", data=form)


def refresh(client: Client, token: str) -> Response:
    return client.post("/auth/token", data={"grant_type": "refresh_token", "refresh_token": token})


def bearer(reply: Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {reply.json()['access_token']}"}


def test_signing_in_gives_what_an_oauth2_client_expects(client: Client) -> None:
    reply = sign_in(client, "ann")
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json().keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (reply.json()["token_type"], reply.json()["expires_in"]) == ("bearer", 3600)
    me = client.get("/auth/me", headers=bearer(reply)).json()
    assert (me["name"], me["role"]) == ("ann", "scorer")


def test_refreshing_gives_new_tokens_and_the_old_refresh_token_is_spent(client: Client) -> None:
    first = sign_in(client, "ann")
    second = refresh(client, first.json()["refresh_token"])
    assert second.status_code == 200
    assert client.get("/auth/me", headers=bearer(second)).status_code == 200
    assert refresh(client, first.json()["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(client, second.json()["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_wrong_password_an_unknown_name_and_a_bad_refresh_token_read_the_same(client: Client) -> None:
    replies = [sign_in(client, "ann", "wrong horse"), sign_in(client, "bob"), refresh(client, "nonsense")]
    assert {reply.status_code for reply in replies} == {400}
    assert {reply.headers["cache-control"] for reply in replies} == {"no-store"}
    assert len({reply.text for reply in replies}) == 1
    assert replies[0].json() == {"error": "invalid_grant", "error_description": Unauthenticated.text}


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "invalid_request"),
        ({"grant_type": "password", "username": "ann"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"username": "ann", "password": PASSWORD}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
    ],
)
def test_a_form_that_asks_for_no_grant_is_refused_in_the_form_of_rfc_6749(
    client: Client, form: dict[str, str], error: str
) -> None:
    reply = client.post("/auth/token", data=form)
    assert (reply.status_code, reply.json()["error"]) == (400, error)
    assert reply.headers["cache-control"] == "no-store"


def test_json_instead_of_a_form_is_refused_in_that_form_too(client: Client) -> None:
    reply = client.post("/auth/token", json={"grant_type": "password", "username": "ann", "password": PASSWORD})
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


def test_failing_again_and_again_is_answered_429_with_a_time_to_wait(client: Client) -> None:
    for _ in range(5):
        sign_in(client, "ann", "wrong horse")
    reply = sign_in(client, "ann")
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
    assert reply.json()["error"] == "temporarily_unavailable"
    assert reply.headers["cache-control"] == "no-store"


def test_signing_out_ends_the_session_at_once_in_this_process(client: Client) -> None:
    grant = sign_in(client, "ann")
    assert client.get("/auth/me", headers=bearer(grant)).status_code == 200
    reply = client.post("/auth/revoke", data={"token": grant.json()["refresh_token"]})
    assert (reply.status_code, reply.content) == (200, b"")
    assert client.get("/auth/me", headers=bearer(grant)).status_code == 401
    assert refresh(client, grant.json()["refresh_token"]).status_code == 400


def test_signing_out_with_an_unknown_token_is_no_error(client: Client) -> None:
    assert client.post("/auth/revoke", data={"token": "unknown"}).status_code == 200
    assert client.post("/auth/revoke").status_code == 400


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x.y.z", "Basic YW5uOnB3", "Bearer é"])
def test_no_token_or_a_bad_one_is_401_and_reads_the_same(client: Client, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    reply = client.get("/auth/me", headers=headers)
    assert (reply.status_code, reply.json()) == (401, {"detail": Unauthenticated.text})


def test_a_role_that_lacks_the_permission_is_403(client: Client) -> None:
    scorer, admin = bearer(sign_in(client, "ann")), bearer(sign_in(client, "root"))
    assert client.get("/details", headers=scorer).status_code == 403
    assert client.get("/details", headers=admin).status_code == 200
    assert client.get("/details").status_code == 401


def test_every_route_is_closed_but_those_for_signing_in_and_out() -> None:
    def guarded(route: APIRoute) -> bool:
        calls = [dependency.call for dependency in route.dependant.dependencies]
        return any(getattr(call, "__qualname__", "").startswith("require.") for call in calls)

    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) == len(router.routes)
    opened = {(method, route.path) for route in routes if not guarded(route) for method in route.methods}
    assert opened == {("POST", "/auth/token"), ("POST", "/auth/revoke"), ("POST", "/auth/session")} | {
        ("GET", path) for path in ("/auth/providers", "/auth/oidc/{provider}/start", "/auth/oidc/{provider}/callback")
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/auth/accounts"),
        ("POST", "/auth/accounts"),
        ("DELETE", "/auth/accounts/ann"),
        ("PUT", "/auth/accounts/ann/password"),
    ],
)
def test_accounts_are_for_admins_alone(client: Client, auth: Auth, method: str, path: str) -> None:
    body = {"name": "new", "role": "admin", "password": PASSWORD} if method == "POST" else {"password": "new password"}
    scorer = bearer(sign_in(client, "ann"))
    assert client.request(method, path, json=body).status_code == 401
    assert client.request(method, path, json=body, headers=scorer).status_code == 403
    assert {account.name for account in auth.accounts.list()} == {"admin", "root", "ann"}


def test_an_admin_adds_lists_changes_and_removes_accounts(client: Client) -> None:
    admin = bearer(sign_in(client, "root"))
    new = {"name": "bob", "role": "analyst", "password": PASSWORD}
    added = client.post("/auth/accounts", json=new, headers=admin)
    assert (added.status_code, added.json()["name"], added.json()["role"]) == (201, "bob", "analyst")
    assert [account["name"] for account in client.get("/auth/accounts", headers=admin).json()] == [
        "admin",
        "ann",
        "bob",
        "root",
    ]
    bob = bearer(sign_in(client, "bob"))
    assert client.get("/details", headers=bob).status_code == 200
    changed = client.put("/auth/accounts/bob/password", json={"password": "another horse"}, headers=admin)
    assert (changed.status_code, changed.content) == (204, b"")
    assert client.get("/details", headers=bob).status_code == 401
    bob = bearer(sign_in(client, "bob", "another horse"))
    assert client.get("/details", headers=bob).status_code == 200
    assert client.delete("/auth/accounts/bob", headers=admin).status_code == 204
    assert client.get("/details", headers=bob).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/auth/accounts", {"name": "ann", "role": "scorer", "password": PASSWORD}, 409),
        ("POST", "/auth/accounts", {"name": "a/b", "role": "scorer", "password": PASSWORD}, 422),
        ("POST", "/auth/accounts", {"name": "bob", "role": "scorer", "password": "short"}, 422),
        ("POST", "/auth/accounts", {"name": "bob", "role": "root", "password": PASSWORD}, 422),
        ("POST", "/auth/accounts", {"name": "bob", "role": "scorer", "password": PASSWORD, "x": 1}, 422),
        ("PUT", "/auth/accounts/ann/password", {"password": "short"}, 422),
        ("PUT", "/auth/accounts/bob/password", {"password": PASSWORD}, 404),
        ("DELETE", "/auth/accounts/bob", None, 404),
    ],
)
def test_an_account_that_cannot_be_changed_as_asked_is_explained(
    client: Client, method: str, path: str, body: Any, status: int
) -> None:
    admin = bearer(sign_in(client, "root"))
    reply = client.request(method, path, json=body, headers=admin)
    assert reply.status_code == status
    assert "detail" in reply.json()


def test_a_password_that_is_not_text_is_422_and_not_500(client: Client) -> None:
    admin = bearer(sign_in(client, "root"))
    body = b'{"name": "bob", "role": "scorer", "password": "\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800"}'
    reply = client.post("/auth/accounts", content=body, headers=admin | {"Content-Type": "application/json"})
    assert reply.status_code == 422


def test_the_last_admin_cannot_be_removed(client: Client) -> None:
    admin = bearer(sign_in(client, "root"))
    assert client.delete("/auth/accounts/admin", headers=admin).status_code == 204
    assert client.delete("/auth/accounts/root", headers=admin).status_code == 409


def test_every_account_problem_has_a_code_and_words() -> None:
    for problem in get_args(AccountProblem):
        error = AccountError(problem)
        assert error.code in STATUS_OF_CODE
        assert error.explanation


def test_the_docs_page_gets_its_authorize_button(client: Client) -> None:
    document = client.get("/openapi.json").json()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == "/auth/token"
    assert document["paths"]["/auth/accounts"]["get"]["security"]
    assert "security" not in document["paths"]["/auth/token"]["post"]


# Accounts in a file


def test_signing_in_where_accounts_are_in_a_file_gives_no_refresh_token(stateless: Auth) -> None:
    client = client_of(stateless)
    reply = sign_in(client, "ann")
    assert reply.status_code == 200
    assert reply.json().keys() == {"access_token", "token_type", "expires_in"}
    assert client.get("/auth/me", headers=bearer(reply)).json()["role"] == "analyst"
    assert sign_in(client, "ann", "wrong horse").json() == sign_in(client, "bob").json()


def test_refreshing_and_signing_out_are_refused_there_in_the_form_of_their_rfcs(stateless: Auth) -> None:
    client = client_of(stateless)
    replies = [refresh(client, "token"), client.post("/auth/revoke", data={"token": "token"})]
    assert [(reply.status_code, reply.json()["error"]) for reply in replies] == [
        (400, "unsupported_grant_type"),
        (400, "unsupported_token_type"),
    ]
    for reply in replies:
        assert "Sign in again" in reply.json()["error_description"]
        assert reply.headers["cache-control"] == "no-store"


def test_accounts_in_a_file_are_listed_and_not_changed(stateless: Auth, path: Path) -> None:
    client = client_of(stateless)
    admin, before = bearer(sign_in(client, "root")), path.read_bytes()
    assert client.get("/auth/accounts", headers=admin).json() == [
        {"name": "ann", "kind": "person", "role": "analyst", "disabled": False, "about": "", "groups": []},
        {"name": "root", "kind": "person", "role": "admin", "disabled": False, "about": "", "groups": []},
    ]
    new = {"name": "bob", "role": "scorer", "password": PASSWORD}
    for reply in (
        client.post("/auth/accounts", json=new, headers=admin),
        client.delete("/auth/accounts/ann", headers=admin),
        client.put("/auth/accounts/ann/password", json={"password": "another horse"}, headers=admin),
    ):
        assert reply.status_code == 409
        assert reply.json()["detail"].startswith("The accounts are kept in a file")
    assert path.read_bytes() == before


def test_a_line_taken_out_is_401_after_the_next_looks(stateless: Auth, path: Path) -> None:
    client = client_of(stateless)
    ann = bearer(sign_in(client, "ann"))
    assert client.get("/auth/me", headers=ann).status_code == 200
    write(path, path.read_text().splitlines()[0])
    settle(stateless.authenticator.forget_if_changed)
    assert client.get("/auth/me", headers=ann).status_code == 401


def test_a_peer_scores_nothing_and_sees_no_account(stateless: Auth, tmp_path: Path) -> None:
    client = client_of(stateless)
    peer = {"Authorization": f"Bearer {PeerTokens(tmp_path / 'token.key').token(stateless.clock())}"}
    assert client.get("/details", headers=peer).status_code == 403
    assert client.get("/auth/accounts", headers=peer).status_code == 403
    assert client.get("/auth/me", headers=peer).json()["role"] == "peer"


def test_no_account_can_be_made_a_peer(client: Client) -> None:
    admin = bearer(sign_in(client, "root"))
    new = {"name": "bob", "role": "peer", "password": PASSWORD}
    assert client.post("/auth/accounts", json=new, headers=admin).status_code == 422
