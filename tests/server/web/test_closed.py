"""Every route is closed unless it is listed here as open."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from server.web import app
from tests.harness.tandem import Tandem

OPEN = {
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/assets/{name}"),
    ("GET", "/openapi.json"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/ping"),
    ("GET", "/health"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
    ("POST", "/auth/token"),
    ("POST", "/auth/revoke"),
    ("POST", "/auth/session"),
    ("POST", "/login"),
    ("POST", "/login/refreshToken"),
    ("DELETE", "/login/refreshToken"),
    ("GET", "/auth/providers"),
    ("GET", "/auth/oidc/{provider}/start"),
    ("GET", "/auth/oidc/{provider}/callback"),
}


def every_route() -> list[tuple[str, str]]:
    found = []
    for router in app.ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute | Route)
            found += [(method, route.path) for method in sorted(route.methods or ()) if method != "HEAD"]
    return found


def test_the_open_routes_are_all_real() -> None:
    assert set(every_route()) >= OPEN


@pytest.mark.parametrize(("method", "path"), [r for r in every_route() if r not in OPEN])
@pytest.mark.parametrize("token", ["", "Bearer x.y.z"])
def test_a_closed_route_asks_for_a_token(tandem: Tandem, method: str, path: str, token: str) -> None:
    nowhere = {"version": "v1", "pair": "none", "slot": "primary", "role": "r", "grant": "g", "limit": "l"}
    nowhere |= {"endpoint": "e", "deployment": "d", "execution": "x", "index": "0"}
    filled = path.replace("{rest:path}", "x").format(model="mpg", name="admin", **nowhere)
    headers = {"sec-fetch-site": "same-origin"} | ({"authorization": token} if token else {})
    reply = httpx.request(method, tandem.url + filled, headers=headers, json={})
    told = reply.json()
    code = told.get("code") or told.get("exceptionType") or reply.headers["x-tandem-code"]
    assert (reply.status_code, code) == (401, "unauthenticated")


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/v1/models/mpg/nothing", "/docs/x", "/../etc/passwd"])
def test_what_is_not_there_is_a_problem_document(tandem: Tandem, path: str) -> None:
    reply = httpx.get(tandem.url + path)
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_scorer_may_not_manage_accounts(tandem: Tandem) -> None:
    assert tandem.command("users", "add", "plain", text="long enough\n").returncode == 0
    refused = tandem.get("/auth/accounts", user="plain")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


def test_no_route_is_mounted_elsewhere() -> None:
    """What these tests walk is all that the application includes."""
    source = Path(app.__file__).read_text()
    assert "for router in ROUTERS:\n            app.include_router(router)" in source
    assert [source.count(way) for way in ("include_router", "add_route", "add_api_route", ".mount(")] == [1, 0, 0, 0]
