"""The audit of a running server: who did what over HTTP and by command, exported, and proven."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import StringIO

import httpx
import pytest

from tests.harness.tandem import Tandem

PASSWORD = "a password of some length"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    tandem = Tandem(tmp_path_factory.mktemp("audit")).start()
    new = {"name": "ivy", "role": "auditor", "password": PASSWORD}
    assert httpx.post(f"{tandem.url}/auth/accounts", json=new, headers=tandem.headers()).status_code == 201
    yield tandem
    assert tandem.stop() == 0


def rows(server: Tandem, **asked: object) -> list[dict[str, object]]:
    reply = server.get("/auth/audit", user="ivy", params=asked)
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    found: list[dict[str, object]] = reply.json()
    return found


def test_a_change_over_http_says_who_made_it_from_where_in_which_request(server: Tandem) -> None:
    made = httpx.put(
        f"{server.url}/auth/roles/watcher",
        json={"permissions": ["list"]},
        headers=server.headers() | {"x-request-id": "audited-1"},
    )
    assert made.status_code == 200
    (row,) = rows(server, action="role.set")
    assert (row["who"], row["target"], row["outcome"]) == ("admin", "watcher", "done")
    assert (row["address"], row["request_id"]) == ("127.0.0.1", made.headers["x-request-id"])
    assert str(row["via"]).startswith("token:") and row["more"] == {"permissions": "list"}


def test_a_sign_in_and_a_command_are_rows_and_no_password_is(server: Tandem) -> None:
    form = {"grant_type": "password", "username": "ivy", "password": PASSWORD}
    assert httpx.post(f"{server.url}/auth/token", data=form).status_code == 200
    assert rows(server, action="signed_in")[-1]["who"] == "ivy"
    assert server.command("users", "add", "by-command", "--service").returncode == 0
    (row,) = (one for one in rows(server, action="account.added") if one["target"] == "by-command")
    assert (row["who"], row["via"]) == ("@command", "command")
    assert PASSWORD not in json.dumps(rows(server))


def test_an_auditor_reads_the_audit_and_changes_nothing(server: Tandem) -> None:
    for path in ("/v1/models", "/auth/accounts", "/auth/keys"):
        assert server.get(path, user="ivy").status_code == 403
    page = rows(server, limit=2)
    assert [row["seq"] for row in rows(server, after=page[-1]["seq"], limit=1)] == [3]


@pytest.mark.parametrize(("accept", "kind"), [("text/csv", "csv"), ("application/x-ndjson", "jsonl")])
def test_all_of_it_is_exported_and_the_export_is_a_row_too(server: Tandem, accept: str, kind: str) -> None:
    export = server.get("/auth/audit", user="ivy", headers={"accept": accept})
    assert export.headers["content-type"].startswith(accept)
    text = export.text
    read = list(csv.DictReader(StringIO(text))) if kind == "csv" else [json.loads(line) for line in text.splitlines()]
    assert [int(row["seq"]) for row in read] == list(range(1, len(read) + 1))
    assert (read[-1]["who"], read[-1]["action"], read[-1]["target"]) == ("ivy", "audit.exported", kind)
    printed = server.command("audit", "export", "--form", kind, "--since", "2020-01-01").stdout
    assert printed.replace("\r", "").startswith(text.replace("\r", ""))
    assert server.command("audit", "export", "--until", "2020-01-01T00:00:00Z").stdout == ""


@pytest.mark.parametrize(
    "asked", [{"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {"limit": 201}, {"after": -1}, {"unknown": 1}]
)
def test_what_cannot_be_asked_is_refused_with_the_field(server: Tandem, asked: dict[str, object]) -> None:
    reply = server.get("/auth/audit", user="ivy", params=asked)
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["column"].endswith(next(iter(asked)))


def test_the_audit_is_proven_and_a_changed_byte_is_found(server: Tandem) -> None:
    proven = server.command("audit", "verify")
    assert proven.returncode == 0, proven.stderr
    noted = proven.stdout.splitlines()[-1]
    assert server.command("audit", "verify", "--against", noted).returncode == 0
    path = server.folder / "data" / "accounts.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as db:
        trigger = db.execute("SELECT sql FROM sqlite_master WHERE name = 'audit_is_not_changed'").fetchone()[0]
        db.execute("DROP TRIGGER audit_is_not_changed")
        db.execute("UPDATE audit SET target = 'jvy' WHERE seq = 3")
        found = server.command("audit", "verify")
        db.execute("UPDATE audit SET target = 'ivy' WHERE seq = 3")
        db.execute(trigger)
    assert found.returncode == 1 and "row 3 is not as it was written" in found.stderr
    number, _, chain = noted.partition(":")
    lost = server.command("audit", "verify", "--against", f"{int(number) + 1000}:{chain}")
    assert lost.returncode == 1 and "not in it any more" in lost.stderr
