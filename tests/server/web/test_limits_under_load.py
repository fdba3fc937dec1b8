"""A limit that four web processes of a server, and two servers of one database, hold to while callers flood them."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest

from tests.harness.tandem import Tandem, eventually

RATE = 20
"""Requests a second, and so many at once."""
FLOOD_S = 4.0
BODY = b'{"rows": [{"speed": 10}]}'
CONNECTIONS = 6


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Tandem]]:
    """Four web processes and two, with one database."""
    folder = tmp_path_factory.mktemp("limited")
    one = Tandem(folder / "one", web_workers=4, r_workers=1)
    two = Tandem(folder / "two", web_workers=2, r_workers=1, data=folder / "one" / "data", r_models=one.r_models)
    one.drop("cars", "lm(dist ~ speed, cars)")
    one.start()
    two.start()
    assert [len(server.processes("web")) for server in (one, two)] == [4, 2]
    yield [one, two]
    assert [server.stop() for server in (one, two)] == [0, 0]


class Program:
    """A caller with a limit of its own. It remembers how many of its answers told of that."""

    def __init__(self, servers: list[Tandem], name: str, **rule: object) -> None:
        self.servers, self.name = servers, name
        changed(servers[0], "POST", "/auth/accounts", name=name, kind="service", role="scorer")
        pair = changed(servers[0], "POST", "/auth/keys", owner=name, name=name).json()
        self.headers = {"api-key": pair["keys"][0]["key"], "content-type": "application/json"}
        self.told = 0
        changed(servers[0], "PUT", f"/auth/limits/{name}", who=name, **rule)
        eventually(lambda: self.asked_everywhere(limited=True), 20)

    def ask(self, server: Tandem, times: int) -> list[tuple[int, str]]:
        """Ask by one new connection: for each answer its status, and what it told of a limit."""
        connection, found = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60), []
        for _ in range(times):
            connection.request("POST", "/v1/models/cars/score", BODY, self.headers)
            reply = connection.getresponse()
            reply.read()
            found.append((reply.status, reply.headers["ratelimit"] or ""))
        connection.close()
        return found

    def asked_everywhere(self, limited: bool) -> bool:
        """Whether all processes tell of a limit, or none, as far as many connections reach them."""
        found = [answer for server in self.servers for _ in range(12) for answer in self.ask(server, 1)]
        self.told += sum(bool(told) for _, told in found)
        return all(bool(told) == limited for _, told in found)

    def rested(self) -> bool:
        """Whether the buckets are full again; this asks once for each."""
        found = [answer for server in self.servers for answer in self.ask(server, 1)]
        self.told += len(found)
        return all(told == f'"{self.name}";r={RATE - 1};t=1' for _, told in found)

    def flood(self, servers: list[Tandem], seconds: float) -> tuple[Counter[int], float]:
        """Ask as often as the servers answer, by many connections; the statuses, and how long it took."""
        began = time.monotonic()

        def ask(number: int) -> list[tuple[int, str]]:
            found: list[tuple[int, str]] = []
            while time.monotonic() < began + seconds:
                found += self.ask(servers[(number + len(found) // 5) % len(servers)], 5)
            return found

        with ThreadPoolExecutor(CONNECTIONS) as threads:
            found = [answer for answers in threads.map(ask, range(CONNECTIONS)) for answer in answers]
        self.told += sum(bool(told) for _, told in found)
        return Counter(status for status, _ in found), time.monotonic() - began

    def used(self) -> tuple[int, int]:
        """The requests that were let through and those that were refused, as either server says."""
        rows = self.servers[1].get(f"/auth/usage?who={self.name}").json()
        return sum(row["requests"] for row in rows), sum(row["refused"] for row in rows)


def changed(server: Tandem, method: str, path: str, **body: object) -> httpx.Response:
    reply = httpx.request(method, server.url + path, json=body or None, headers=server.headers(), timeout=60)
    assert reply.is_success, reply.text
    return reply


@pytest.mark.parametrize("together", [1, 2])
def test_they_let_through_the_rate_and_at_most_a_second_of_it_more_and_never_less(
    servers: list[Tandem], together: int
) -> None:
    program = Program(servers, f"flooding-{together}", requests=RATE, per="second")
    eventually(program.rested, 20, every_s=0.5)
    counts, took_s = program.flood(servers[:together], FLOOD_S)
    assert set(counts) == {200, 429}
    assert RATE * FLOOD_S <= counts[200] <= RATE + RATE * took_s + RATE, counts
    eventually(lambda: sum(program.used()) == program.told, 20)  # each is counted once


def test_a_quota_ends_at_its_line_and_the_usage_says_so(servers: list[Tandem]) -> None:
    program = Program(servers, "thrifty", rows=60, per="month")
    assert program.flood(servers, 1.5)[0][429] > 0
    eventually(lambda: program.used()[0] >= 60, 20)
    refused = httpx.post(f"{servers[1].url}/v1/models/cars/score", content=BODY, headers=program.headers, timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= (32 - datetime.now(UTC).day) * 86_400


def test_a_limit_that_is_removed_holds_nowhere_after_a_second(servers: list[Tandem]) -> None:
    program = Program(servers, "released", requests=1, per="day")
    changed(servers[1], "DELETE", "/auth/limits/released")
    removed = time.monotonic()
    while not program.asked_everywhere(limited=False):
        assert time.monotonic() < removed + 1
    assert program.asked_everywhere(limited=False)
