"""Two real servers with the same files of accounts and keys, and no data folder between or beside them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.auth.conftest import line, write
from tests.harness.tandem import Tandem, eventually
from tests.server.web.test_several_processes import most_guesses

PASSWORD = "correct horse"
OLD, NEW = "old" * 11, "new" * 11


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharing")


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[list[Tandem]]:
    accounts = write(folder / "accounts", line("root", "admin"), line("ann", "scorer"))
    key = write(folder / "token.key", OLD)
    started = [
        Tandem(folder / "one", accounts=accounts, token_key=key, web_workers=2),
        Tandem(folder / "two", accounts=accounts, token_key=key),
    ]
    try:
        for server in started:
            server.start()
        yield started
    finally:
        for server in started:
            if server.process is not None:
                server.stop()


def sign_in(server: Tandem, name: str, password: str = PASSWORD) -> httpx.Response:
    form = {"grant_type": "password", "username": name, "password": password}
    return httpx.post(f"{server.url}/auth/token", data=form)


def statuses(servers: list[Tandem], token: str) -> set[int]:
    """What both servers answer to this token, in all of their web processes as far as a few tries reach them."""
    headers = {"authorization": f"Bearer {token}"}
    return {server.get("/auth/me", None, headers=headers).status_code for server in servers for _ in range(6)}


def test_each_takes_what_the_other_issues_and_has_no_data_folder(servers: list[Tandem]) -> None:
    for server in servers:
        assert statuses(servers, sign_in(server, "ann").json()["access_token"]) == {200}
        assert statuses(servers, server.token("root")) == {200}
        assert not (server.folder / "data").exists()


def test_a_key_is_replaced_without_a_restart_and_without_a_refusal(servers: list[Tandem], folder: Path) -> None:
    before = sign_in(servers[0], "root").json()["access_token"]
    for step in ([OLD, NEW], [NEW, OLD]):
        taken = [_taken(server) for server in servers]
        write(folder / "token.key", *step)
        eventually(lambda taken=taken: all(_taken(s) == n + _processes(s) for s, n in zip(servers, taken, strict=True)))
        assert statuses(servers, before) == {200}
    after = sign_in(servers[0], "root").json()["access_token"]
    write(folder / "token.key", NEW)
    eventually(lambda: statuses(servers, before) == {401})
    assert statuses(servers, after) == {200}


def test_a_password_changed_in_the_file_ends_the_tokens_at_both_servers(servers: list[Tandem], folder: Path) -> None:
    ann, root = (sign_in(servers[0], name).json()["access_token"] for name in ("ann", "root"))
    lines = (folder / "accounts").read_text().splitlines()
    write(folder / "accounts", lines[0], line("ann", "scorer", "another horse"))
    eventually(lambda: statuses(servers, ann) == {401})
    assert statuses(servers, root) == {200}
    assert [sign_in(server, "ann", "another horse").status_code for server in servers] == [200, 200]


def test_a_slip_in_the_file_locks_nobody_out_and_is_in_the_log_without_a_secret(
    servers: list[Tandem], folder: Path
) -> None:
    write(folder / "accounts", line("root", "admin"), line("ann").replace("$argon2id", "$argon3id"))
    for server in servers:
        [reason] = eventually(lambda server=server: {entry["reason"] for entry in _lines(server, "error")})
        assert "line 2: its hash is not one of argon2id" in reason
        assert "$" not in server.log_path.read_text()
        assert sign_in(server, "root").status_code == 200


def test_no_server_refreshes_so_that_no_token_can_be_used_again_at_another(servers: list[Tandem]) -> None:
    token = sign_in(servers[0], "root").json()
    assert "refresh_token" not in token
    form = {"grant_type": "refresh_token", "refresh_token": token["access_token"]}
    with ThreadPoolExecutor(20) as threads:
        replies = list(threads.map(lambda n: httpx.post(f"{servers[n % 2].url}/auth/token", data=form), range(20)))
    assert {(reply.status_code, reply.json()["error"]) for reply in replies} == {(400, "unsupported_grant_type")}
    assert statuses(servers, token["access_token"]) == {200}


def test_limits_need_a_database_and_where_there_is_none_nobody_is_limited(servers: list[Tandem]) -> None:
    headers = {"authorization": f"Bearer {sign_in(servers[0], 'root').json()['access_token']}"}
    rule = {"who": "*", "requests": 1, "per": "day"}
    asked = [
        httpx.get(f"{servers[0].url}/auth/limits", headers=headers),
        httpx.put(f"{servers[0].url}/auth/limits/l", json=rule, headers=headers),
        httpx.delete(f"{servers[0].url}/auth/limits/l", headers=headers),
        httpx.get(f"{servers[0].url}/auth/usage", headers=headers),
    ]
    assert {(reply.status_code, reply.json()["code"]) for reply in asked} == {(409, "conflict")}


def test_who_guesses_too_often_waits_at_this_server_and_each_counts_for_itself(servers: list[Tandem]) -> None:
    """The last of these tests: the address has to wait afterwards, at the first server."""
    started = time.monotonic()
    tried = [sign_in(servers[0], "nobody", f"wrong {n}").status_code for n in range(30)]
    assert 429 in tried
    assert tried.count(400) <= _processes(servers[0]) * most_guesses(time.monotonic() - started)
    assert sign_in(servers[1], "nobody", "wrong").status_code == 400
    assert sign_in(servers[1], "root").status_code == 200


def _lines(server: Tandem, level: str) -> list[dict[str, str]]:
    return [one for one in server.log_lines() if one["logger"] == "auth.secret_file" and one["level"] == level]


def _taken(server: Tandem) -> int:
    return len(_lines(server, "info"))


def _processes(server: Tandem) -> int:
    return int(server.environment.get("TANDEM_WEB_WORKERS", "1"))
