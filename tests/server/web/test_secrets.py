"""What callers must not be told, and what must not be kept: secrets in the log, names in metrics, paths in refusals."""

from __future__ import annotations

import re

import httpx
import pytest

from server.web.routes.pages import PAGES as PAGES_FOLDER
from tests.auth.test_tokens import OURS, refused_by_both, refused_here
from tests.harness.tandem import Tandem, eventually

PASSWORD = "an unmistakable password"
WRONG = "a mistaken password"
PATHS = ("/v1/models", "/auth/me", "/openapi.json", "/health/ready", "/v1/models/mpg/score")
PAGES = {"/docs": True, "/": True, "/openapi.json": False, "/health/ready": False, "/nothing": False}
"""Whether it is a page, whose policy a browser has to be told."""


@pytest.fixture(scope="module")
def grant(tandem: Tandem) -> dict[str, str]:
    """What an account with a known password got for signing in."""
    assert tandem.command("users", "add", "secretive", text=f"{PASSWORD}\n").returncode == 0
    form = {"grant_type": "password", "username": "secretive", "password": PASSWORD}
    found: dict[str, str] = httpx.post(f"{tandem.url}/auth/token", data=form).json()
    return found


@pytest.mark.parametrize("path", ["/auth/me", "/v1/models/mpg/score"])
def test_every_forged_token_is_refused_alike(tandem: Tandem, path: str) -> None:
    """By name in test_tokens.py; here they are signed with a key that is not the server's, as a forger's are."""
    forged = [case[1] for table in (refused_by_both, refused_here) for case in table(OURS)]
    sendable = [token for token in forged if isinstance(token, str) and re.fullmatch(r"[!-~]+", token)]
    assert len(sendable) > 24
    with httpx.Client(base_url=tandem.url) as client:
        replies = [client.request("GET", path, headers={"authorization": f"Bearer {token}"}) for token in sendable]
    told = {(reply.status_code, reply.json()["code"], reply.json()["detail"]) for reply in replies}
    assert [(status, code) for status, code, _ in told] == [(401, "unauthenticated")]


def test_a_token_in_the_query_says_nothing_and_no_secret_is_in_the_log(tandem: Tandem, grant: dict[str, str]) -> None:
    access, refresh = grant["access_token"], grant["refresh_token"]
    with httpx.Client(base_url=tandem.url) as client:
        for path in PATHS[:2]:
            for name in ("access_token", "token", "authorization"):
                assert client.get(path, params={name: access}).status_code == 401
        assert client.post(PATHS[-1], params={"access_token": access}, json={"rows": []}).status_code == 401
        for form in (
            {"grant_type": "password", "username": "secretive", "password": WRONG},
            {"grant_type": "password", "username": WRONG, "password": WRONG},
            {"grant_type": "refresh_token", "refresh_token": access},
        ):
            assert client.post("/auth/token", data=form).status_code == 400
        for method, path, body in (
            ("POST", "/auth/accounts", {"name": "x", "role": "scorer", "password": [WRONG]}),
            ("POST", "/auth/accounts", {"name": WRONG, "role": "scorer", "password": WRONG}),
            ("PUT", "/auth/accounts/secretive/password", {"password": WRONG, WRONG: 1}),
        ):
            reply = client.request(method, path, json=body, headers=tandem.headers())
            assert reply.status_code == 422
            assert WRONG not in reply.text.replace(f'"column":"{WRONG}"', "")
        assert client.post("/auth/token", data={"grant_type": "refresh_token", "refresh_token": refresh}).is_success
        last = client.get("/auth/me", headers=tandem.headers() | {"x-request-id": "the-last-of-these"})
        assert last.is_success
    eventually(lambda: "the-last-of-these" in tandem.log_path.read_text())
    log = tandem.log_path.read_text()
    for secret in (PASSWORD, WRONG, access, access.rpartition(".")[2], refresh, tandem.token()):
        assert secret not in log


@pytest.mark.parametrize("path", PAGES)
def test_answers_tell_a_browser_what_it_may_do_with_them(tandem: Tandem, path: str) -> None:
    headers = httpx.get(tandem.url + path, headers={"accept": "text/html"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    if PAGES[path]:
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy


def test_refusals_are_not_cached_and_tell_no_path_of_the_server(tandem: Tandem) -> None:
    bad = {"rows": [{"wt": "<img src=x onerror=alert(1)>", "../../etc/passwd": 1}]}
    for reply in (
        tandem.get("/v1/models", user=None),
        tandem.get("/v1/models/<img src=x onerror=alert(1)>"),
        tandem.score("mpg", bad),
        tandem.score("mpg", b"{"),
        tandem.score("mpg", b"", headers={"content-type": "text/html"}),
    ):
        assert reply.status_code >= 400
        assert reply.headers["content-type"] == "application/problem+json"
        assert (reply.headers["cache-control"], reply.headers["x-content-type-options"]) == ("no-store", "nosniff")
        for path in (str(tandem.folder), "site-packages", "Traceback", ".py"):
            assert path not in reply.text


def test_what_callers_make_up_becomes_no_label_of_a_metric(tandem: Tandem) -> None:
    made_up = "a-name-that-a-caller-made-up"
    for reply in (
        tandem.score(made_up, {"rows": []}),
        tandem.score("mpg", {"rows": []}, path=f"/v1/models/mpg/versions/{made_up}/score"),
        tandem.get(f"/{made_up}"),
        tandem.get(f"/v1/models/{made_up}"),
        httpx.request("TRACE", f"{tandem.url}/{made_up}"),
        tandem.score("mpg", {"rows": []}, headers={"accept": f"application/{made_up}", "user-agent": made_up}),
    ):
        assert reply.status_code >= 400
    last = tandem.get("/auth/me", headers={"x-request-id": made_up})
    assert last.is_success
    assert made_up not in httpx.get(tandem.metrics_url).text


def test_no_page_writes_what_it_was_told_as_markup() -> None:
    """A description of `<img onerror=…>` is text: pages put text into elements; their policy stops other scripts."""
    scripts = list(PAGES_FOLDER.glob("*.js"))
    assert scripts
    for script in scripts:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script.read_text()), (
            script
        )
    for html in PAGES_FOLDER.glob("*.html"):
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son[a-z]+=|javascript:", html.read_text()), html
