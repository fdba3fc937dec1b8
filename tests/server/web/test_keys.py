"""API keys against a running server: made, shown once, used in each header, replaced, and gone."""

from __future__ import annotations

import subprocess
from typing import Any

import httpx
import pytest

from auth.key_text import new_key
from tests.harness.tandem import Tandem, eventually

HEADERS = {
    "a bearer": lambda key: {"authorization": f"Bearer {key}"},
    "the scheme Key": lambda key: {"authorization": f"Key {key}"},
    "api-key": lambda key: {"api-key": key},
    "X-API-Key": lambda key: {"X-API-Key": key},
    "Azure's gateway": lambda key: {"Ocp-Apim-Subscription-Key": key},
    "Basic without a user": lambda key: basic("", key),
    "Basic with a user of its own": lambda key: basic("key", key),
    "Basic with the owner": lambda key: basic("pricing-batch", key),
}


def basic(user: str, password: str) -> dict[str, str]:
    request = httpx.Request("GET", "http://a")
    next(httpx.BasicAuth(user, password).auth_flow(request))
    return {"authorization": request.headers["authorization"]}


@pytest.fixture(scope="module")
def pair(tandem: Tandem) -> dict[str, Any]:
    """A service's pair for mpg alone, as the server has answered."""
    about = {"name": "pricing-batch", "kind": "service", "role": "analyst", "about": "nightly prices"}
    assert change(tandem, "POST", "/auth/accounts", about).status_code == 201
    made = change(tandem, "POST", "/auth/keys", {"owner": "pricing-batch", "name": "nightly", "models": ["mpg"]})
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    found: dict[str, Any] = made.json()
    return found


def change(tandem: Tandem, method: str, path: str, body: object = None, **more: Any) -> httpx.Response:
    return httpx.request(method, tandem.url + path, json=body, headers=tandem.headers(), timeout=60, **more)


def key_of(pair: dict[str, Any], slot: str) -> str:
    return str(next(key["key"] for key in pair["keys"] if key["slot"] == slot and "key" in key))


def listed(tandem: Tandem, pair: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in tandem.get("/auth/keys").json() if one["pair"] == pair)
    return found


def score(tandem: Tandem, model: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{tandem.url}/v1/models/{model}/score", json={"rows": []}, headers=headers, timeout=60)


@pytest.mark.parametrize("how", HEADERS)
def test_a_key_scores_in_every_header_that_holds_keys(tandem: Tandem, pair: dict[str, Any], how: str) -> None:
    for slot in ("primary", "secondary"):
        reply = score(tandem, "mpg", HEADERS[how](key_of(pair, slot)))
        assert reply.status_code in (200, 422), reply.text  # no rows, but it was the model that said so


def test_a_key_sees_and_scores_its_own_models_and_no_other(tandem: Tandem, pair: dict[str, Any]) -> None:
    headers = {"api-key": key_of(pair, "primary")}
    assert [model["model"] for model in httpx.get(f"{tandem.url}/v1/models", headers=headers).json()] == ["mpg"]
    for there, path in ((200, "mpg"), (404, "boston"), (200, "mpg/schema"), (404, "boston/schema")):
        assert httpx.get(f"{tandem.url}/v1/models/{path}", headers=headers).status_code == there
    foreign, missing = score(tandem, "boston", headers), score(tandem, "none", headers)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown_model")
    assert foreign.json() | {"request_id": ""} == missing.json() | {"request_id": ""}


def test_who_am_i_says_what_the_key_is_for(tandem: Tandem, pair: dict[str, Any]) -> None:
    me = httpx.get(f"{tandem.url}/auth/me", headers={"x-api-key": key_of(pair, "primary")}).json()
    assert (me["name"], me["kind"], me["credential"]) == ("pricing-batch", "service", "key")
    assert (me["permissions"], me["models"]) == (["list", "score"], ["mpg"])


def test_a_key_is_shown_once_and_its_last_use_afterwards(tandem: Tandem, pair: dict[str, Any]) -> None:
    score(tandem, "mpg", {"api-key": key_of(pair, "primary")})

    def used() -> Any:
        return next(key for key in listed(tandem, pair["pair"])["keys"] if key["slot"] == "primary").get("used_at")

    assert eventually(used, timeout_s=10)
    shown = listed(tandem, pair["pair"])
    assert all("key" not in key for key in shown["keys"])
    assert shown["keys"][0]["used_from"] == "127.0.0.0/24"
    assert key_of(pair, "primary") not in tandem.get("/auth/keys").text
    assert key_of(pair, "primary").startswith(shown["keys"][0]["begins"])


def test_a_wrong_key_is_refused_as_every_other_credential_is(tandem: Tandem, pair: dict[str, Any]) -> None:
    good = key_of(pair, "primary")
    bodies = set()
    for key in (new_key().text, good[:-1], "nonsense"):
        for how in HEADERS.values():
            refused = score(tandem, "mpg", how(key))
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"  # never Basic: a browser would ask
            bodies.add(str(refused.json() | {"request_id": ""}))
    assert score(tandem, "mpg", basic("somebody-else", good)).status_code == 401
    assert len(bodies) == 1


def test_two_credentials_that_differ_are_a_bad_request(tandem: Tandem, pair: dict[str, Any]) -> None:
    key = key_of(pair, "primary")
    both = tandem.headers() | {"api-key": key}
    for reply in (score(tandem, "mpg", both), httpx.get(f"{tandem.url}/auth/me", headers=both)):
        assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")
    same = {"api-key": key, "authorization": f"Bearer {key}"}
    assert score(tandem, "mpg", same).status_code in (200, 422)
    twice = [("api-key", key), ("api-key", key)]
    assert httpx.get(f"{tandem.url}/auth/me", headers=twice).status_code == 400


def test_a_key_in_the_address_is_refused_with_what_it_means(tandem: Tandem, pair: dict[str, Any]) -> None:
    key = key_of(pair, "primary")
    for path in ("/v1/models/mpg/score", "/v1/models", "/auth/me"):
        reply = httpx.post(f"{tandem.url}{path}?api_key={key}", json={}, headers=tandem.headers())
        assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")
        assert "replace" in reply.json()["detail"]
    assert key not in tandem.log_path.read_text()


def test_without_a_credential_beside_it_a_key_in_the_address_is_told_too(tandem: Tandem, pair: dict[str, Any]) -> None:
    for path in ("/v1/models/mpg/score", "/auth/me"):
        reply = httpx.post(f"{tandem.url}{path}", params={"key": key_of(pair, "primary")}, json={})
        assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")
    eventually(lambda: tandem.metric("tandem_auth_failures_total", reason="key_in_url") >= 2, timeout_s=10)


def test_the_log_says_by_which_key_and_from_where_a_request_was_scored(tandem: Tandem, pair: dict[str, Any]) -> None:
    key = key_of(pair, "primary")
    form = {"grant_type": "client_credentials", "client_secret": key}
    token = httpx.post(f"{tandem.url}/auth/token", data=form).json()["access_token"]
    ways = {"key-1": {"api-key": key}, "key-2": {"authorization": f"Bearer {token}"}, "key-3": tandem.headers()}
    for name, headers in ways.items():
        score(tandem, "mpg", headers | {"x-request-id": name})
    score(tandem, "mpg", {"api-key": key, "x-request-id": f"named-{key}"})

    def lines() -> dict[str, Any]:
        found = {line.get("request_id"): line for line in tandem.log_lines() if line["message"] == "scored"}
        return found if f"named-{key[:12]}" in found else {}

    found = eventually(lines, timeout_s=10)
    said = [(found[name]["via"], found[name]["key"], found[name]["address"]) for name in ways]
    assert said == [(via, of, "127.0.0.1") for via, of in (("key", key[4:12]), ("token", key[4:12]), ("token", None))]
    assert key[13:] not in tandem.log_path.read_text()


def test_one_key_is_replaced_while_the_other_works(tandem: Tandem) -> None:
    made = change(tandem, "POST", "/auth/keys", {"owner": "pricing-batch", "name": "turned"}).json()
    old, other = key_of(made, "secondary"), key_of(made, "primary")
    assert score(tandem, "mpg", {"api-key": old}).status_code != 401
    again = change(tandem, "POST", f"/auth/keys/{made['pair']}/secondary", {})
    assert again.status_code == 200
    new = key_of(again.json(), "secondary")
    assert [key["slot"] for key in again.json()["keys"] if "key" in key] == ["secondary"]
    assert score(tandem, "mpg", {"api-key": old}).status_code == 401
    assert score(tandem, "mpg", {"api-key": new}).status_code != 401
    assert score(tandem, "mpg", {"api-key": other}).status_code != 401
    assert change(tandem, "DELETE", f"/auth/keys/{made['pair']}/primary").status_code == 204
    assert score(tandem, "mpg", {"api-key": other}).status_code == 401
    assert score(tandem, "mpg", {"api-key": new}).status_code != 401


def test_a_disabled_owner_is_refused_and_comes_back(tandem: Tandem) -> None:
    change(tandem, "POST", "/auth/accounts", {"name": "paused", "kind": "service", "role": "scorer"})
    made = change(tandem, "POST", "/auth/keys", {"owner": "paused", "name": "n"}).json()
    headers = {"api-key": key_of(made, "primary")}
    assert score(tandem, "mpg", headers).status_code != 401
    for disabled, expected in ((True, 401), (False, 200)):
        assert change(tandem, "PATCH", "/auth/accounts/paused", {"disabled": disabled}).status_code == 200
        assert httpx.get(f"{tandem.url}/auth/me", headers=headers).status_code == expected


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/auth/keys", {"owner": "nobody-here", "name": "n"}, 404),
        ("POST", "/auth/keys", {"name": "n", "days": 0}, 422),
        ("POST", "/auth/keys", {"name": "n", "days": -1}, 422),
        ("POST", "/auth/keys", {"name": "n", "days": 10**9}, 422),
        ("POST", "/auth/keys", {"name": "n", "days": "soon"}, 422),
        ("POST", "/auth/keys", {"name": "n", "models": []}, 422),
        ("POST", "/auth/keys", {"name": "n", "models": ["a b"]}, 422),
        ("POST", "/auth/keys", {"name": "n", "permissions": ["rule"]}, 422),
        ("POST", "/auth/keys", {"name": "n", "permissions": ["catalog"]}, 403),
        ("POST", "/auth/keys", {"name": "n", "unknown": 1}, 422),
        ("POST", "/auth/keys/none/primary", {}, 404),
        ("POST", "/auth/keys/none/tertiary", {}, 422),
        ("POST", "/auth/keys/none/primary", {"grace_s": 86_401}, 422),
        ("DELETE", "/auth/keys/none", None, 404),
        ("POST", "/auth/accounts", {"name": "s", "kind": "service", "role": "scorer", "password": "long enough"}, 422),
        ("POST", "/auth/accounts", {"name": "s", "kind": "service", "role": "king"}, 422),
        ("PATCH", "/auth/accounts/admin", {"role": "scorer"}, 409),
        ("PATCH", "/auth/accounts/admin", {"disabled": True}, 409),
        ("PATCH", "/auth/accounts/nobody-here", {"disabled": True}, 404),
        ("PUT", "/auth/accounts/pricing-batch/password", {"password": "long enough"}, 422),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    tandem: Tandem, pair: dict[str, Any], method: str, path: str, body: object, status: int
) -> None:
    reply = change(tandem, method, path, body)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"


def test_the_command_line_makes_lists_replaces_and_removes_keys(tandem: Tandem) -> None:
    assert tandem.command("users", "add", "by-hand", "--service", "--role", "scorer").returncode == 0
    made = tandem.command("keys", "add", "by-hand", "--name", "cron", "--models", "mpg,bos*", "--days", "30")
    lines = [line.split("\t") for line in made.stdout.splitlines()]
    assert [slot for _, slot, _, _ in lines] == ["primary", "secondary"], made.stderr
    pair, _, key, _ = lines[0]
    assert score(tandem, "mpg", {"api-key": key}).status_code != 401
    told = tandem.command("keys", "list").stdout
    assert key not in told and key[:12] in told and "mpg,bos*" in told and "cron" in told
    again = tandem.command("keys", "regenerate", pair, "primary", "--grace", "3600").stdout.split("\t")[2]
    assert score(tandem, "mpg", {"api-key": again}).status_code != 401
    assert score(tandem, "mpg", {"api-key": key}).status_code != 401  # for an hour
    assert tandem.command("keys", "remove", pair).returncode == 0
    eventually(lambda: score(tandem, "mpg", {"api-key": again}).status_code == 401, timeout_s=5)
    refused = tandem.command("keys", "add", "by-hand", "--permissions", "rule")
    assert refused.returncode == 1 and "rule is no permission" in refused.stderr


SCRIPTS = {
    "httr": """
      reply <- httr::GET(arguments[[1]], httr::authenticate("pricing-batch", arguments[[2]]))
      cat(httr::status_code(reply), httr::content(reply)$name)
    """,
    "httr2": """
      asked <- httr2::req_auth_basic(httr2::request(arguments[[1]]), "pricing-batch", arguments[[2]])
      reply <- httr2::req_perform(asked)
      cat(httr2::resp_status(reply), httr2::resp_body_json(reply)$name)
    """,
}


@pytest.mark.parametrize("package", SCRIPTS)
def test_an_unmodified_script_of_r_scores_with_a_key_as_its_password(
    tandem: Tandem, pair: dict[str, Any], package: str
) -> None:
    code = f"arguments <- commandArgs(TRUE)\n{SCRIPTS[package]}"
    command = ["Rscript", "--vanilla", "-e", code, f"{tandem.url}/auth/me", key_of(pair, "primary")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "200 pricing-batch", done.stderr
