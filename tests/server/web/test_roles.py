"""Who may do what: every route with every method, asked by every kind of caller, and paths that try to be others."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import httpx
import pytest

from auth.principal import ROLES as ROLE_NAMES
from tests.harness.tandem import Tandem
from tests.server.web.test_closed import OPEN, every_route

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
ROLES: dict[str, tuple[str, ...]] = {
    "list": ("scorer", "analyst", "publisher", "admin"),
    "score": ("scorer", "analyst", "publisher", "admin"),
    "details": ("analyst", "publisher", "admin"),
    "publish": ("publisher", "admin"),
    "accounts": ("admin",),
    "audit": ("auditor", "admin"),
    "catalog": (),
    "me": ("scorer", "analyst", "publisher", "auditor", "admin", "none"),
}
"""Which accounts may do what a permission is for; a catalog is for other servers, which have none."""
NEEDS = {
    ("GET", "/v1/models"): "list",
    ("GET", "/v1/models/{model}"): "list",
    ("GET", "/v1/models/{model}/schema"): "list",
    ("PUT", "/v1/models/{model}/versions/{version}"): "publish",
    ("DELETE", "/v1/models/{model}/versions/{version}"): "publish",
    ("GET", "/v1/endpoints"): "list",
    ("GET", "/v1/endpoints/{endpoint}"): "list",
    ("POST", "/v1/truth/{model}"): "score",
    ("PUT", "/v1/endpoints/{endpoint}"): "publish",
    ("PATCH", "/v1/endpoints/{endpoint}"): "publish",
    ("DELETE", "/v1/endpoints/{endpoint}"): "publish",
    ("GET", "/v1/endpoints/{endpoint}/deployments"): "list",
    ("GET", "/v1/endpoints/{endpoint}/deployments/{deployment}"): "list",
    ("PUT", "/v1/endpoints/{endpoint}/deployments/{deployment}"): "publish",
    ("PATCH", "/v1/endpoints/{endpoint}/deployments/{deployment}"): "publish",
    ("DELETE", "/v1/endpoints/{endpoint}/deployments/{deployment}"): "publish",
    ("GET", "/v1/endpoints/{endpoint}/keys"): "publish",
    ("POST", "/v1/endpoints/{endpoint}/keys/{slot}"): "publish",
    ("POST", "/v1/endpoints/{endpoint}/token"): "score",
    ("GET", "/v1/endpoints/{endpoint}/deployments/{deployment}/logs"): "details",
    ("GET", "/v1/endpoints/{endpoint}/comparison"): "details",
    ("POST", "/v1/models/{model}/score"): "score",
    ("POST", "/v1/models/{model}/versions/v1/score"): "score",
    ("POST", "/v1/models/{model}:predict"): "score",
    ("POST", "/endpoints/{model}/invocations"): "score",
    ("GET", "/endpoints/{model}"): "list",
    ("GET", "/endpoints/{model}/"): "list",
    ("GET", "/endpoints/{model}/ping"): "list",
    ("GET", "/endpoints/{model}/health"): "list",
    ("GET", "/endpoints/{model}/version"): "list",
    ("POST", "/endpoints/{model}/predict"): "score",
    ("GET", "/endpoints/{model}/metadata"): "list",
    ("GET", "/endpoints/{model}/versions/{version}/metadata"): "list",
    ("GET", "/endpoints/{model}/prototype"): "list",
    ("GET", "/endpoints/{model}/versions/{version}/prototype"): "list",
    ("GET", "/endpoints/{model}/swagger.json"): "list",
    ("GET", "/endpoints/{model}/versions/{version}/swagger.json"): "list",
    ("GET", "/endpoints/{model}/openapi.json"): "list",
    ("GET", "/endpoints/{model}/versions/{version}/openapi.json"): "list",
    ("POST", "/v2/models/{model}/infer"): "score",
    ("POST", "/v2/models/{model}/versions/v1/infer"): "score",
    ("GET", "/api/2.0/endpoints"): "list",
    ("GET", "/api/2.0/endpoints/"): "list",
    ("GET", "/api/2.0/endpoints/{model}"): "list",
    ("GET", "/v2"): "list",
    ("GET", "/v2/"): "list",
    ("GET", "/v2/models/stats"): "list",
    ("GET", "/v2/models/{model}"): "list",
    ("GET", "/v2/models/{model}/ready"): "list",
    ("GET", "/v2/models/{model}/config"): "list",
    ("GET", "/v2/models/{model}/stats"): "list",
    ("GET", "/v2/models/{model}/versions/{version}"): "list",
    ("GET", "/v2/models/{model}/versions/{version}/ready"): "list",
    ("GET", "/v2/models/{model}/versions/{version}/config"): "list",
    ("GET", "/v2/models/{model}/versions/{version}/stats"): "list",
    ("POST", "/v2/repository/index"): "list",
    ("POST", "/v2/repository/models/{model}/load"): "list",
    ("POST", "/v2/repository/models/{model}/unload"): "list",
    ("POST", "/api/{model}/{version}"): "score",
    ("GET", "/services"): "list",
    ("GET", "/services/{model}"): "list",
    ("GET", "/services/{model}/{version}"): "list",
    ("POST", "/services/{model}"): "list",
    ("POST", "/services/{model}/{version}"): "list",
    ("PATCH", "/services/{model}/{version}"): "list",
    ("DELETE", "/services/{model}/{version}"): "list",
    ("POST", "/realtime-services/{model}"): "list",
    ("POST", "/realtime-services/{model}/{version}"): "list",
    ("PATCH", "/realtime-services/{model}/{version}"): "list",
    ("GET", "/services/{model}/{version}/pool"): "list",
    ("POST", "/services/{model}/{version}/pool"): "list",
    ("DELETE", "/services/{model}/{version}/pool"): "list",
    ("GET", "/api/{model}/{version}/swagger.json"): "list",
    ("POST", "/api/{model}/{version}/batch"): "score",
    ("GET", "/api/{model}/{version}/batch"): "score",
    ("GET", "/api/{model}/{version}/batch/{execution}"): "score",
    ("DELETE", "/api/{model}/{version}/batch/{execution}"): "score",
    ("GET", "/api/{model}/{version}/batch/{execution}/{index}/files"): "score",
    ("GET", "/api/{model}/{version}/batch/{execution}/{index}/files/{name}"): "score",
    ("GET", "/status"): "list",
    ("GET", "/computenodes"): "list",
    ("GET", "/computenodes/{rest:path}"): "list",
    **dict.fromkeys([(method, "/sessions/{rest:path}") for method in ("GET", "POST", "PATCH", "DELETE")], "list"),
    **dict.fromkeys([(method, "/snapshots/{rest:path}") for method in ("GET", "POST", "DELETE")], "list"),
    ("GET", "/sessions"): "list",
    ("POST", "/sessions"): "list",
    ("GET", "/snapshots"): "list",
    ("POST", "/snapshots"): "list",
    ("GET", "/v1/catalog"): "catalog",
    ("GET", "/auth/me"): "me",
    ("GET", "/auth/session"): "me",
    ("DELETE", "/auth/session"): "me",
    ("POST", "/auth/session/confirm"): "me",
    ("PUT", "/auth/me/password"): "me",
    ("GET", "/auth/accounts"): "accounts",
    ("POST", "/auth/accounts"): "accounts",
    ("GET", "/auth/accounts/{name}"): "accounts",
    ("PATCH", "/auth/accounts/{name}"): "accounts",
    ("DELETE", "/auth/accounts/{name}/sessions"): "accounts",
    ("DELETE", "/auth/accounts/{name}"): "accounts",
    ("GET", "/auth/audit"): "audit",
    ("GET", "/auth/roles"): "accounts",
    ("PUT", "/auth/roles/{role}"): "accounts",
    ("DELETE", "/auth/roles/{role}"): "accounts",
    ("GET", "/auth/grants"): "accounts",
    ("POST", "/auth/grants"): "accounts",
    ("DELETE", "/auth/grants/{grant}"): "accounts",
    ("GET", "/auth/limits"): "accounts",
    ("PUT", "/auth/limits/{limit}"): "accounts",
    ("DELETE", "/auth/limits/{limit}"): "accounts",
    ("GET", "/auth/usage"): "accounts",
    ("GET", "/auth/keys"): "accounts",
    ("POST", "/auth/keys"): "accounts",
    ("POST", "/auth/keys/{pair}/{slot}"): "accounts",
    ("DELETE", "/auth/keys/{pair}"): "accounts",
    ("DELETE", "/auth/keys/{pair}/{slot}"): "accounts",
    ("PUT", "/auth/accounts/{name}/password"): "accounts",
}
"""Every route that is not open. A new one is to be entered here with what it needs."""
SCORING = {
    (method, path)
    for method, path in NEEDS
    if path.endswith(("/score", ":predict", "/infer", "/invocations", "/predict")) or path == "/api/{model}/{version}"
}
"""Answered in front of FastAPI, whose routes they are not; whatever their method, a token is asked for first."""
NOWHERE = {
    **{"pair": "none", "slot": "primary", "role": "none-such", "grant": "none", "limit": "none", "provider": "none"},
    **{"version": "none", "endpoint": "none", "execution": "none", "index": "0"},
    **{"version": "none", "endpoint": "none", "deployment": "none"},
}
"""What is filled in where nothing is to be found."""
OVERRIDE = {"x-http-method-override": "GET", "x-method-override": "GET", "x-original-url": "/"}
CALLERS = ("nobody", "a stranger", *ROLE_NAMES)


@pytest.fixture(scope="module")
def callers(tandem: Tandem) -> dict[str, dict[str, str]]:
    """The headers of each kind of caller."""
    found = {"nobody": {}, "a stranger": {"authorization": "Bearer x.y.z"}}
    for role in ROLE_NAMES:
        added = tandem.command("users", "add", f"role-{role}", "--role", role, text="long enough\n")
        assert added.returncode == 0, added.stderr
        found[role] = tandem.headers(f"role-{role}")
    return found


@pytest.fixture(scope="module")
def client(tandem: Tandem) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=tandem.url) as client:
        yield client


def test_every_route_says_here_what_it_needs() -> None:
    assert set(every_route()) - OPEN == set(NEEDS) - SCORING


def filled_in(path: str) -> str:
    return path.replace("{rest:path}", "none").format(model="mpg", name="nobody-of-that-name", **NOWHERE)


def expected(method: str, path: str, caller: str) -> set[int]:
    """The statuses that this caller may get."""
    routed = "GET" if method == "HEAD" else method
    known = caller not in ("nobody", "a stranger")
    if path.startswith("/auth/session") and (routed, path) in {*OPEN, *NEEDS}:
        return {401, 403} if not known else {403}  # the browser has to say that a page of ours asks
    if (routed, path) in OPEN:
        return {200, 400, 404}
    if (routed, path) in NEEDS:
        if not known:
            return {401}
        return {200, 400, 404, 409, 415, 422, 501} if caller in ROLES[NEEDS[routed, path]] else {403}
    if any(path == scoring for _, scoring in SCORING):
        if not known:
            return {401}
        return {404, 405} if caller in ROLES["score"] else {403}  # there may be no such version
    return {405}


@pytest.mark.parametrize("caller", CALLERS)
def test_every_route_and_method_is_answered_as_the_callers_role_has_it(
    client: httpx.Client, callers: dict[str, dict[str, str]], caller: str
) -> None:
    wrong = []
    for path in sorted({path for _, path in {*OPEN, *NEEDS}}):
        for method in METHODS:
            filled = filled_in(path)
            for override in ({}, OVERRIDE) if caller in ("nobody", "scorer") else ({},):
                reply = client.request(method, filled, headers=callers[caller] | override)
                kept = path.startswith("/auth/") and reply.headers.get("cache-control") != "no-store"
                if reply.status_code not in expected(method, path, caller) or kept:
                    wrong.append((method, path, override, reply.status_code, "may be kept" if kept else ""))
    assert wrong == []


# Paths

TRICKS: dict[str, tuple[str, ...]] = {
    "slashes": ("/auth/accounts/", "//auth/accounts", "/auth//accounts", "/auth\\accounts", "/\\auth/accounts"),
    "dots": ("/./auth/accounts", "/auth/./accounts", "/auth/accounts/.", "/auth/accounts/..", "/%2e/auth/accounts"),
    "ways up": (
        *("/x/../auth/accounts", "/health/../auth/accounts", "/health/live/../../auth/accounts", "/../auth/accounts"),
        *("/assets/../auth/accounts", "/v1/models/../../auth/accounts", "/%2e%2e/auth/accounts"),
    ),
    "encoded slashes": (
        *("/auth%2faccounts", "/auth%2Faccounts", "/auth%5caccounts", "/auth%252faccounts", "/auth/accounts%2f"),
        *("/health/..%2fauth/accounts", "/auth/accounts%c0%af"),
    ),
    "encoded letters": ("/%61uth/accounts", "/auth/acc%6funts"),
    "ends": (
        *("/auth/accounts%00", "/auth/accounts%20", "/auth/accounts%09", "/auth/accounts%3f", "/auth/accounts%23"),
        *("/auth/accounts%0d%0ax:%20y", "/auth/accounts%", "/auth/accounts%zz", "/auth/accounts%e2%80%8b"),
        *("/auth/accounts;x", "/auth;/accounts", "/auth/accounts?x=/health/live", "/auth/accounts#/health/live"),
    ),
    "capitals": ("/AUTH/accounts", "/auth/Accounts"),
    "hosts": ("http://health/auth/accounts", "http://a@health:1/auth/accounts", "*"),
    "files": ("/assets/..%2f..%2f..%2fetc/passwd", "/assets/%2e%2e/%2e%2e/etc/passwd", "/assets/....//etc/passwd"),
    "models": (
        *("/v1/models/%2e%2e/score", "/v1/models/mpg%2f..%2fx/score", "/v1/models/mpg/versions/../score"),
        *("/v1/models/mpg%00/score", "/v1/models/mpg/score/", "/v1/models//score"),
    ),
}
"""Paths that one reader could take for another one, by what is odd about them."""


def asked(tandem: Tandem, path: str, token: str) -> tuple[int, bytes]:
    """Status and body of a path that no client would send as it is."""
    head = f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", tandem.port), timeout=10) as connection:
        connection.sendall(head.encode())
        data = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", data)
    assert found is not None, data[:200]
    return int(found[1]), data


@pytest.mark.parametrize("kind", TRICKS)
def test_a_path_that_would_be_another_is_not_there_or_is_refused_as_that_one(
    tandem: Tandem, callers: dict[str, dict[str, str]], kind: str
) -> None:
    scorer = callers["scorer"]["authorization"].removeprefix("Bearer ")
    answered = [
        (path, refused, *asked(tandem, path, token))
        for path in TRICKS[kind]
        for token, refused in ((scorer, 403), ("x.y.z", 401))
    ]
    assert [one for one in answered if one[2] not in (400, 404, 405, one[1])] == []
    assert all(b"root:" not in data and b"created_at" not in data for *_, data in answered)
