"""Limits against a running server: set, told in headers, held to, read as usage, and gone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness.tandem import Tandem, eventually
from tests.server.web.scoring.test_route import CAR

ROW = {"rows": [CAR]}
LIMITED = ("limited", "limited-too", "counted")


@pytest.fixture(scope="module", autouse=True)
def _accounts(tandem: Tandem) -> Iterator[None]:
    for name in LIMITED:
        assert tandem.command("users", "add", name, "--service").returncode == 0
    yield
    for name in LIMITED:
        assert tandem.command("users", "remove", name).returncode == 0


@pytest.fixture(autouse=True)
def _no_limits_are_left(tandem: Tandem) -> Iterator[None]:
    yield
    for limit in change(tandem, "GET", "/auth/limits").json():
        assert change(tandem, "DELETE", f"/auth/limits/{limit['id']}").status_code == 204


def change(tandem: Tandem, method: str, path: str, body: object = None, **more: Any) -> httpx.Response:
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    headers = tandem.headers() | more.pop("headers", {})
    return httpx.request(method, tandem.url + path, headers=headers, timeout=60, **content, **more)


def put(tandem: Tandem, limit: str, **rule: object) -> dict[str, Any]:
    made = change(tandem, "PUT", f"/auth/limits/{limit}", rule)
    assert made.status_code == 200, made.text
    found: dict[str, Any] = made.json()
    return found


def test_a_caller_is_told_of_its_limit_and_refused_beyond_it(tandem: Tandem) -> None:
    made = put(tandem, "ann-mpg", who="limited", model="mpg", requests=2, per="minute")
    assert {key: made[key] for key in ("id", "who", "model", "requests", "per")} == {
        "id": "ann-mpg",
        "who": "limited",
        "model": "mpg",
        "requests": 2,
        "per": "minute",
    }
    assert "warning" not in made and made["created_by"] == "admin"
    good = tandem.score("mpg", ROW, "limited")
    assert good.status_code == 200
    assert good.headers["ratelimit-policy"] == '"ann-mpg";q=2;w=60'
    assert good.headers["ratelimit"] == '"ann-mpg";r=1;t=30'
    wrong = tandem.score("mpg", {"rows": [{}]}, "limited")
    assert (wrong.status_code, wrong.headers["ratelimit"][:14]) == (422, '"ann-mpg";r=0;')
    refused = tandem.score("mpg", ROW, "limited")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert "'ann-mpg' allows you 2 requests a minute" in refused.json()["detail"]
    assert refused.headers["ratelimit"].startswith('"ann-mpg";r=0;t=')
    wait_ms = int(refused.headers["retry-after-ms"])
    assert 25_000 < wait_ms <= 30_000
    assert int(refused.headers["retry-after"]) == math.ceil(wait_ms / 1000)
    other = tandem.score("boston", {"rows": []}, "limited")
    assert "ratelimit" not in other.headers and other.status_code != 429
    assert "ratelimit" not in tandem.score("mpg", ROW).headers
    eventually(lambda: tandem.metric("tandem_limited_total", limit="ann-mpg", code="rate_limited") >= 1, 10)


def test_a_refused_request_is_answered_before_its_body_and_permission_comes_first(tandem: Tandem) -> None:
    put(tandem, "one", who="limited", requests=1, per="day")
    assert tandem.score("mpg", ROW, "limited").status_code == 200
    refused = tandem.score("mpg", b"x", "limited", headers={"content-type": "nonsense/of-some-kind"})
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert int(refused.headers["retry-after"]) <= 86_400
    assert tandem.score("no-such-model", ROW, "limited").status_code == 404
    assert tandem.score("mpg", ROW, None).status_code == 401


def test_the_keys_of_a_principal_share_what_it_may_ask_for(tandem: Tandem) -> None:
    put(tandem, "each", who="*", model="mpg", requests=3, per="minute")
    keys = []
    for name in ("one", "two"):
        made = change(tandem, "POST", "/auth/keys", {"owner": "limited-too", "name": name}).json()
        keys += [key["key"] for key in made["keys"]]
    codes = [
        httpx.post(f"{tandem.url}/v1/models/mpg/score", json=ROW, headers={"api-key": key}, timeout=60).status_code
        for key in keys
    ]
    assert codes == [200, 200, 200, 429]
    assert tandem.score("mpg", ROW, "counted").status_code == 200  # each principal is counted by itself


def test_what_was_used_is_read_as_json_lines_csv_and_pages(tandem: Tandem) -> None:
    put(tandem, "q", who="counted", model="mpg", rows=3, per="day")
    for expected in (200, 200, 429):
        assert tandem.score("mpg", {"rows": [CAR, CAR]}, "counted").status_code == expected

    def used() -> dict[str, Any] | None:
        rows = change(tandem, "GET", "/auth/usage?who=counted").json()
        return next((row for row in rows if row["refused"]), None)

    row = eventually(used, 10)
    assert (row["principal"], row["model"], row["refused"]) == ("counted", "mpg", 1)
    assert row["rows"] >= 4
    day = row["day"]
    query = f"/auth/usage?who=counted&model=mpg&from={day}&to={day}"
    assert change(tandem, "GET", query).json() == [row]
    assert change(tandem, "GET", f"{query}&after={day}/mpg/counted").json() == []
    assert change(tandem, "GET", "/auth/usage?who=counted&to=2020-01-01").json() == []
    lines = change(tandem, "GET", query, headers={"accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.text.splitlines()] == [row]
    table = change(tandem, "GET", query, headers={"accept": "text/csv"})
    assert table.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    assert table.text.splitlines() == ["day,principal,model,requests,rows,refused", ",".join(map(str, row.values()))]
    for wrong in ("from=yesterday", "to=2026-13-01", "after=x", "limit=0", "limit=201", "limit=NaN", "odd=1"):
        assert change(tandem, "GET", f"/auth/usage?{wrong}").status_code == 422, wrong


def test_a_pattern_that_fits_no_model_is_taken_with_a_warning(tandem: Tandem) -> None:
    made = put(tandem, "later", who="*", model="coming-*", requests=1, per="second")
    assert made["warning"] == "No model that is here now fits coming-*."
    assert "warning" not in put(tandem, "now", who="*", model="mp*", requests=1000, per="second")
    keys = {"owner": "limited", "name": "early", "models": ["mpg", "coming-*"]}
    assert change(tandem, "POST", "/auth/keys", keys).json()["warning"] == made["warning"]
    grant = change(tandem, "POST", "/auth/grants", {"to": "nobody", "role": "scorer", "models": ["coming-*"]}).json()
    shown = "Grants name models, but /docs and /openapi.json show every model to anybody: set TANDEM_DOCS=login."
    assert grant["warning"] == f"{made['warning']} {shown}"
    eventually(lambda: shown in tandem.log_path.read_text())
    assert change(tandem, "DELETE", f"/auth/grants/{grant['id']}").status_code == 204


RULE: dict[str, object] = {"who": "limited", "requests": 1, "per": "second"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests": 0},
        {"requests": -1},
        {"requests": 1.5},
        {"requests": "many"},
        {"requests": True},
        {"requests": 10**10},
        {"requests": None},
        {"rows": 1},
        {"burst": 0},
        {"burst": 5, "per": "day"},
        {"per": "week"},
        {"per": None},
        {"who": ""},
        {"who": "two words"},
        {"who": "role:none-such"},
        {"model": "a b"},
        {"model": "*a"},
        {"model": ""},
        {"unknown": 1},
    ],
)
def test_what_is_no_limit_is_refused_with_its_reason(tandem: Tandem, wrong: dict[str, object]) -> None:
    reply = change(tandem, "PUT", "/auth/limits/bad", RULE | wrong)
    assert reply.status_code == 422, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json().get("errors") or len(reply.json()["detail"]) > 20
    assert change(tandem, "GET", "/auth/limits").json() == []


def test_numbers_that_json_has_not_and_names_that_headers_cannot_carry_are_refused(tandem: Tandem) -> None:
    body = b'{"who": "limited", "requests": NaN, "per": "second"}'
    assert change(tandem, "PUT", "/auth/limits/bad", body).status_code == 422
    for name in ("a%22b", "%C3%A9", "-a", "a" * 65, "a%0d%0ab"):
        assert change(tandem, "PUT", f"/auth/limits/{name}", RULE).status_code in (400, 422), name
    assert change(tandem, "DELETE", "/auth/limits/none").status_code == 404


def test_the_command_line_sets_lists_and_removes_limits(tandem: Tandem) -> None:
    rule = ("--who", "limited", "--requests", "1", "--per", "minute", "--burst", "1")
    assert tandem.command("limits", "add", "by-hand", *rule).returncode == 0
    assert tandem.command("limits", "list").stdout == "by-hand\tlimited\t*\t1 request a minute\tat most 1 at once\n"
    eventually(lambda: tandem.score("mpg", ROW, "limited").status_code == 429, 5)
    assert tandem.command("limits", "remove", "by-hand").returncode == 0
    eventually(lambda: "ratelimit" not in tandem.score("mpg", ROW, "limited").headers, 5)
    refused = tandem.command("limits", "add", "by-hand", "--who", "limited", "--rows", "0", "--per", "day")
    assert refused.returncode == 1 and "whole number" in refused.stderr
