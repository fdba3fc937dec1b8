"""Grants and roles of one's own, against a running server: what somebody sees, scores and may give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.tandem import Tandem, eventually

PASSWORD = "a password of some length"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, example_models: Path) -> Iterator[Tandem]:
    tandem = Tandem(tmp_path_factory.mktemp("grants"), docs="login")
    for name in ("mpg", "boston"):
        for end in (".rds", ".yaml"):
            (tandem.r_models / f"{name}{end}").write_bytes((example_models / f"{name}{end}").read_bytes())
    tandem.start()
    for name, role in (("ann", "none"), ("deputy", "none"), ("boss", "admin")):
        assert change(tandem, "POST", "/auth/accounts", {"name": name, "role": role, "password": PASSWORD}).is_success
    yield tandem
    assert tandem.stop() == 0


def change(server: Tandem, method: str, path: str, body: object = None, user: str = "admin") -> httpx.Response:
    return httpx.request(method, server.url + path, json=body, headers=server.headers(user), timeout=60)


def seen(server: Tandem) -> set[str]:
    reply = server.get("/v1/models", user="ann")
    return {model["model"] for model in reply.json()} if reply.status_code == 200 else set()


def grant(server: Tandem, role: str, *models: str, to: str = "ann", user: str = "admin") -> httpx.Response:
    return change(server, "POST", "/auth/grants", {"to": to, "role": role, "models": list(models)}, user)


def test_a_model_that_was_not_granted_is_as_if_it_did_not_exist(server: Tandem) -> None:
    assert server.get("/v1/models", user="ann").status_code == 403
    made = grant(server, "scorer", "mp*")
    assert made.status_code == 201, made.text
    assert eventually(lambda: seen(server), timeout_s=2) == {"mpg"}
    assert server.score("mpg", {"rows": []}, user="ann").status_code in (200, 422)
    foreign, missing = (server.score(name, {"rows": []}, user="ann") for name in ("boston", "no-such-model"))
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() | {"request_id": ""} == missing.json() | {"request_id": ""}
    for path in ("", "/schema"):
        one, other = (server.get(f"/v1/models/{name}{path}", user="ann") for name in ("boston", "no-such-model"))
        assert one.json() | {"request_id": ""} == other.json() | {"request_id": ""}
    for query in ("", "?dialects=true"):
        document = server.get(f"/openapi.json{query}", user="ann").text
        assert "/v1/models/mpg/score" in document and "boston" not in document
    assert "/v1/models/mpg:predict" in document
    assert "boston" in server.get("/openapi.json").text
    assert change(server, "DELETE", f"/auth/grants/{made.json()['id']}").status_code == 204
    assert eventually(lambda: server.get("/v1/models", user="ann").status_code == 403, timeout_s=2)


TRUTH = {"request_id": "r", "value": 1}


def operations(server: Tandem) -> set[tuple[str, str]]:
    """Every operation that is about a model, with its name left open; those of the dialects among them."""
    document = server.get("/openapi.json").json()["paths"]
    paths = {
        (method, re.sub(r"\{model\}|(?<=/)boston(?=/)", "{model}", path))
        for path in document
        for method in document[path]
    }
    others = re.compile(r"\{(?!model\})\w+\}")
    return {(method, others.sub("0", path)) for method, path in paths if "{model}" in path}


@pytest.mark.parametrize("role", ["scorer", "analyst", "admin"])
def test_no_operation_tells_a_foreign_model_from_one_that_there_is_not(server: Tandem, role: str) -> None:
    made = grant(server, role, "mpg")
    assert made.status_code == 201, made.text
    assert eventually(lambda: seen(server), timeout_s=5) == {"mpg"}
    asked = operations(server)
    assert {path for _, path in asked} >= {
        "/v1/models/{model}",
        "/v1/models/{model}/schema",
        "/v1/models/{model}/score",
    }
    for method, path in sorted(asked):
        told = []
        for name in ("boston", "no-such-model"):
            rows = {"rows": [TRUTH if "truth" in path else {}]}
            url, body = server.url + path.format(model=name), rows if method == "post" else None
            reply = httpx.request(
                method.upper(), url, headers=server.headers("ann") | {"x-request-id": "same"}, json=body
            )
            told.append((reply.status_code, reply.text.replace(name, "")))
        # Who may not publish at all is refused before it is looked which model it would be.
        assert told[0] == told[1] and told[0][0] in ((404,) if method in ("get", "post") else (403, 404)), (
            method,
            path,
            told,
        )
    assert change(server, "DELETE", f"/auth/grants/{made.json()['id']}").status_code == 204
    assert eventually(lambda: server.get("/v1/models", user="ann").status_code == 403, timeout_s=5)


def test_roles_and_grants_are_managed_by_command_too(server: Tandem) -> None:
    assert (
        server.command("roles", "set", "watcher", "--permissions", "list,details").stdout == "watcher\tlist,details\n"
    )
    assert "scorer\tlist,score" in server.command("roles", "list").stdout
    given = server.command("grants", "add", "ann", "watcher", "--models", "mp*")
    assert given.returncode == 0, given.stderr
    made, *said = given.stdout.strip().split("\t")
    assert said == ["ann", "watcher", "mp*"]
    assert eventually(lambda: seen(server), timeout_s=5) == {"mpg"}
    assert given.stdout in server.command("grants", "list").stdout
    refused = server.command("roles", "remove", "watcher")
    assert (refused.returncode, "has this role" in refused.stderr) == (1, True)
    assert server.command("grants", "remove", made).returncode == 0
    assert eventually(lambda: server.get("/v1/models", user="ann").status_code == 403, timeout_s=5)
    assert server.command("roles", "remove", "watcher").returncode == 0
    for wrong in (("roles", "set", "x", "--permissions", "rule"), ("grants", "add", "ann", "king", "--models", "*")):
        told = server.command(*wrong)
        assert told.returncode in (1, 2) and "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("path", "name"), [("accounts", "name"), ("roles", "name"), ("grants", "id"), ("keys", "pair")]
)
def test_lists_come_in_pages(server: Tandem, path: str, name: str) -> None:
    for number in range(3):
        assert grant(server, "scorer", "mpg", to=f"nobody-{number}").is_success
        assert change(server, "POST", "/auth/keys", {"name": f"paged {number}"}).is_success
    whole = [one[name] for one in server.get(f"/auth/{path}").json()]
    paged: list[str] = []
    while found := server.get(f"/auth/{path}", params={"limit": 2, "after": paged[-1] if paged else ""}).json():
        assert len(found) <= 2
        paged += [one[name] for one in found]
    assert paged == whole and len(whole) >= 3
    for wrong in ("limit=0", "limit=201", "limit=NaN", "after=never-was"):
        assert server.get(f"/auth/{path}?{wrong}").status_code == 422, wrong


def test_who_may_see_a_model_and_not_score_with_it_is_told_so(server: Tandem) -> None:
    assert change(server, "PUT", "/auth/roles/reader", {"permissions": ["list"]}).status_code == 200
    made = grant(server, "reader", "mpg").json()
    assert eventually(lambda: seen(server), timeout_s=2) == {"mpg"}
    refused = server.score("mpg", {"rows": []}, user="ann")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert change(server, "DELETE", "/auth/roles/reader").status_code == 409
    assert change(server, "DELETE", f"/auth/grants/{made['id']}").status_code == 204
    assert change(server, "DELETE", "/auth/roles/reader").status_code == 204
    assert {role["name"] for role in server.get("/auth/roles").json()} >= {"scorer", "admin"}


ESCALATIONS: dict[str, tuple[str, str, Any]] = {
    "a password of an admin": ("PUT", "/auth/accounts/boss/password", {"password": PASSWORD}),
    "another role for an admin": ("PATCH", "/auth/accounts/boss", {"disabled": True}),
    "removing an admin": ("DELETE", "/auth/accounts/boss", None),
    "a role for oneself": ("PATCH", "/auth/accounts/deputy", {"role": "admin"}),
    "an account of more": ("POST", "/auth/accounts", {"name": "x", "role": "analyst", "password": PASSWORD}),
    "a role of more": ("PUT", "/auth/roles/more", {"permissions": ["audit"]}),
    "a group that was granted more": ("PATCH", "/auth/accounts/ann", {"groups": ["chiefs"]}),
    "a grant of more": ("POST", "/auth/grants", {"to": "deputy", "role": "analyst", "models": ["mpg"]}),
    "keys of more": ("POST", "/auth/keys", {"owner": "boss", "name": "n", "permissions": ["details"]}),
}


@pytest.mark.parametrize("how", ESCALATIONS)
def test_who_manages_accounts_gives_nothing_that_they_lack(server: Tandem, how: str) -> None:
    assert change(server, "PUT", "/auth/roles/clerk", {"permissions": ["list", "score", "accounts"]}).is_success
    assert change(server, "PATCH", "/auth/accounts/deputy", {"role": "clerk"}).is_success
    if how == next(iter(ESCALATIONS)):
        server._tokens.pop("deputy", None)
    if "group" in how:
        assert grant(server, "analyst", "mpg", to="group:chiefs").is_success
    method, path, body = ESCALATIONS[how]
    refused = change(server, method, path, body, user="deputy")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), refused.text
    allowed = {"name": f"c{list(ESCALATIONS).index(how)}", "role": "scorer", "kind": "service"}
    given = change(server, "POST", "/auth/accounts", allowed, "deputy")
    assert given.status_code == 201, given.text


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/auth/grants", {"to": "ann", "role": "king", "models": ["*"]}, 422),
        ("POST", "/auth/grants", {"to": "ann", "role": "scorer", "models": []}, 422),
        ("POST", "/auth/grants", {"to": "ann", "role": "scorer", "models": ["a b"]}, 422),
        ("POST", "/auth/grants", {"to": "a b", "role": "scorer", "models": ["*"]}, 422),
        ("PUT", "/auth/roles/admin", {"permissions": ["list"]}, 409),
        ("PUT", "/auth/roles/Nope", {"permissions": ["list"]}, 422),
        ("PUT", "/auth/roles/nope", {"permissions": ["rule"]}, 422),
        ("DELETE", "/auth/roles/never-was", None, 404),
        ("DELETE", "/auth/grants/none", None, 404),
    ],
)
def test_what_cannot_be_is_refused(server: Tandem, method: str, path: str, body: object, status: int) -> None:
    assert change(server, method, path, body).status_code == status
