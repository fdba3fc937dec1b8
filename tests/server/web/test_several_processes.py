"""Attacks of callers on a server of several web processes: each has limits of its own, and none is a way around them.

A new connection is taken by whichever process is free, so what is asked often enough is asked of all of them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from server.dispatch.quarantine import MAX_CRASHES
from tests.harness.tandem import Tandem, eventually
from tests.server.supervisor.test_faults import CRASHES_ABOVE_100

PROCESSES = 2
FREE_GUESSES = 5
PASSWORD = "a password of some length"
CALM = {"rows": [{"speed": 10}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    tandem = Tandem(tmp_path_factory.mktemp("several"), web_workers=PROCESSES)
    tandem.drop("cars", CRASHES_ABOVE_100)
    tandem.start()
    for name in ("ann", "bob", "eve"):
        assert tandem.command("users", "add", name, text=f"{PASSWORD}\n").returncode == 0
    assert len(tandem.processes("web")) == PROCESSES
    yield tandem
    assert tandem.stop() == 0


def asked(server: Tandem, **form: str) -> httpx.Response:
    return httpx.post(f"{server.url}/auth/token", data=form, timeout=60)


def signed_in(server: Tandem, name: str) -> dict[str, str]:
    reply = asked(server, grant_type="password", username=name, password=PASSWORD)
    assert reply.status_code == 200, reply.text
    found: dict[str, str] = reply.json()
    return found


def statuses(server: Tandem, token: str) -> set[int]:
    """What the processes answer to this token, on connections of their own."""
    headers = {"authorization": f"Bearer {token}"}
    return {server.get("/auth/me", None, headers=headers).status_code for _ in range(6 * PROCESSES)}


def test_of_twenty_refreshes_at_once_one_is_good_and_what_it_got_is_dead_in_every_process(server: Tandem) -> None:
    grant = signed_in(server, "ann")
    assert statuses(server, grant["access_token"]) == {200}
    with ThreadPoolExecutor(20) as threads:
        replies = list(
            threads.map(
                lambda _: asked(server, grant_type="refresh_token", refresh_token=grant["refresh_token"]), range(20)
            )
        )
    assert Counter(reply.status_code for reply in replies) == {200: 1, 400: 19}
    [good] = [reply.json() for reply in replies if reply.status_code == 200]
    for token in (grant["access_token"], good["access_token"]):
        eventually(lambda token=token: statuses(server, token) == {401}, 10)
    for token in (grant["refresh_token"], good["refresh_token"]):
        assert asked(server, grant_type="refresh_token", refresh_token=token).json()["error"] == "invalid_grant"


def test_a_changed_password_and_a_removed_account_end_their_tokens_in_every_process(server: Tandem) -> None:
    ann, bob = signed_in(server, "ann"), signed_in(server, "bob")
    assert statuses(server, ann["access_token"]) == statuses(server, bob["access_token"]) == {200}
    path = f"{server.url}/auth/accounts"
    changed = httpx.put(f"{path}/ann/password", json={"password": PASSWORD + "!"}, headers=server.headers())
    removed = httpx.delete(f"{path}/bob", headers=server.headers())
    assert (changed.status_code, removed.status_code) == (204, 204)
    for grant in (ann, bob):
        eventually(lambda grant=grant: statuses(server, grant["access_token"]) == {401}, 10)
        assert asked(server, grant_type="refresh_token", refresh_token=grant["refresh_token"]).status_code == 400


def test_whoever_sends_bodies_that_end_workers_is_refused_by_every_process_and_nobody_else_is(server: Tandem) -> None:
    ended = refused = sent = 0
    while refused < 10 and sent < 100:
        reply = server.score("cars", {"rows": [{"speed": 101 + sent}]}, user="eve")
        code = reply.json()["code"]
        assert code in ("worker_crashed", "crashes_too_often", "no_worker"), reply.text
        sent += 1
        ended += code == "worker_crashed"
        refused = refused + 1 if code == "crashes_too_often" else 0
    assert refused == 10
    assert ended <= PROCESSES * MAX_CRASHES
    answers = {eventually(lambda: server.score("cars", CALM)).status_code for _ in range(6 * PROCESSES)}
    assert answers == {200}
    assert server.get("/v1/models", user="eve").status_code == 200


def most_guesses(seconds: float) -> int:
    """How many wrong passwords a process tries in this time: five, then one after 1 s, 2 s, 4 s, ..."""
    return FREE_GUESSES + 1 + int(math.log2(1 + seconds))


def test_guesses_at_once_are_tried_no_more_often_than_the_processes_allow(server: Tandem) -> None:
    """The last of these tests: the address has to wait afterwards."""
    started = time.monotonic()
    with ThreadPoolExecutor(30) as threads:
        forms = [{"grant_type": "password", "username": "eve", "password": f"wrong {n}"} for n in range(60)]
        counts = Counter(threads.map(lambda form: asked(server, **form).status_code, forms))
    assert set(counts) == {400, 429}
    assert counts[400] <= PROCESSES * most_guesses(time.monotonic() - started)


def test_a_key_that_is_removed_is_refused_in_every_process_within_a_second(server: Tandem) -> None:
    assert server.command("users", "add", "keyed", "--service").returncode == 0
    printed = server.command("keys", "add", "keyed").stdout.splitlines()
    pair, slot, key, _ = printed[0].split("\t")
    assert slot == "primary"
    assert statuses(server, key) == {200}
    assert server.command("keys", "remove", pair).returncode == 0
    removed = time.monotonic()
    while statuses(server, key) != {401}:
        assert time.monotonic() < removed + 1
    assert statuses(server, key) == {401}
