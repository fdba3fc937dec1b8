"""Machine Learning Server's batches over real HTTP, and each batch's life without a server."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.web.dialects.mls import executions
from server.web.dialects.mls.batch import MAX_BODY_BYTES, MAX_RECORDS, split
from server.web.dialects.mls.executions import MAX_AT_ONCE, MAX_KEPT, MAX_WAITING, Executions, Order
from server.web.problems import ProblemError
from tests.harness.tandem import Tandem, eventually
from tests.server.web.dialects.test_mls import JSON, address, refused
from tests.server.web.dialects.test_open_inference import CARS, native, post

# Over HTTP


def start(
    server: Tandem, records: Any, model: str = "mpg", user: str | None = "admin", query: str = ""
) -> httpx.Response:
    return post(server, f"{address(server, model)}/batch{query}", records, user=user, headers=JSON)


def ended(server: Tandem, path: str, user: str = "admin") -> dict[str, Any]:
    def complete() -> dict[str, Any] | None:
        told = server.get(path, user).json()
        return dict(told) if told["state"] == "complete" else None

    return dict(eventually(complete))


def test_a_batch_has_the_native_predictions_in_the_order_of_its_records(server: Tandem) -> None:
    records = [CARS[i % 2] for i in range(25)]
    reply = start(server, records, query="?parallelCount=4")
    told = reply.json()
    assert reply.status_code == 202 and told["batchExecutionId"] == told["BatchExecutionId"]
    path = f"{address(server, 'mpg')}/batch/{told['batchExecutionId']}"
    assert reply.headers["location"] == path
    whole = ended(server, path)
    assert (whole["completedItemCount"], whole["totalItemCount"]) == (25, 25)
    expected = native(server, "mpg", records)
    assert [one["outputParameters"]["response"] for one in whole["batchExecutionResults"]] == expected
    assert told["batchExecutionId"] in server.get(f"{address(server, 'mpg')}/batch").json()
    assert server.get(f"{path}/3/files").json() == []
    refused(server.get(f"{path}/3/files/plot.png"), 404, "not_found")
    refused(server.get(f"{path}/25/files"), 404, "not_found")
    gone = httpx.delete(server.url + path, headers=server.headers())
    assert (gone.status_code, gone.json()) == (200, {})
    refused(server.get(path), 404, "not_found")
    refused(httpx.delete(server.url + path, headers=server.headers()), 404, "not_found")


def test_one_bad_record_fails_alone_and_every_record_is_counted_and_logged(server: Tandem) -> None:
    records = [CARS[0], CARS[0] | {"cyl": "5"}, b"", CARS[1]]
    body = b"[%b]" % b", ".join(orjson.dumps(r) if r else b'{"wt": 1, "wt": 2, "hp": 2, "cyl": "4"}' for r in records)
    execution = start(server, body).json()["batchExecutionId"]
    results = ended(server, f"{address(server, 'mpg')}/batch/{execution}")["batchExecutionResults"]
    assert [one["success"] for one in results] == [True, False, False, True]
    assert 'column "cyl", row 0: expected one of "4", "6", "8"' in results[1]["errorMessage"]
    assert "wt" in results[2]["errorMessage"]
    for at, code in enumerate(["ok", "invalid_input", "invalid_input", "ok"]):
        [line] = eventually(
            lambda at=at: [one for one in server.log_lines() if one.get("request_id") == f"{execution}-{at}"]
        )
        assert (line["code"], line["dialect"], line["address"]) == (code, "mls", "127.0.0.1")


def test_a_batch_is_its_owners_alone_and_wants_the_right_to_score(server: Tandem) -> None:
    assert server.command("users", "add", "other", text="long enough\n").returncode == 0
    assert server.command("users", "add", "onlooker", "--role", "auditor", text="long enough\n").returncode == 0
    path = f"{address(server, 'mpg')}/batch"
    execution = start(server, CARS[:1]).json()["batchExecutionId"]
    assert execution not in server.get(path, "other").json()
    refused(server.get(f"{path}/{execution}", "other"), 404, "not_found")
    refused(httpx.delete(f"{server.url}{path}/{execution}", headers=server.headers("other")), 404, "not_found")
    ended(server, f"{path}/{execution}")
    refused(start(server, CARS[:1], user=None), 401, "unauthenticated")
    refused(start(server, CARS[:1], user="onlooker"), 403, "forbidden")
    refused(post(server, "/api/none/v1/batch", CARS[:1], headers=JSON), 404, "not_found")
    refused(server.get(f"/api/iris/{server.model('iris')['version']}/batch/{execution}"), 404, "not_found")
    for other in ("..", "%2e%2e", "x", execution.upper()):
        assert server.get(f"{path}/{other}").status_code in (404, 405)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"[1]", b"[{}", b"[{},]", b"[{}]x", b"[{} {}]", b"\xff", b"[" * 9000]
)
def test_a_body_that_is_no_array_of_objects_is_400(server: Tandem, body: bytes) -> None:
    assert "array of objects" in refused(start(server, body), 400, "bad_body")


def test_batches_are_bounded(server: Tandem) -> None:
    refused(start(server, [{}] * (MAX_RECORDS + 1)), 400, "invalid_input")
    refused(start(server, CARS[:1], query="?parallelCount=0"), 400, "invalid_input")
    refused(start(server, b" " * ((2 << 20) + 1)), 413, "body_too_large")  # this server takes no larger ones at all
    assert MAX_BODY_BYTES > 64 << 10
    assert start(server, b" " * (1 << 20) + orjson.dumps(CARS[:1])).status_code == 202


# The records of a body


@given(st.lists(st.dictionaries(st.text(), st.none() | st.floats() | st.integers() | st.text()), min_size=1))
def test_records_are_cut_out_as_they_were_written(records: list[dict[str, Any]]) -> None:
    for indent in (None, 2):
        body = json.dumps(records, indent=indent).encode()
        cut = split(body)
        assert repr([json.loads(one) for one in cut]) == repr(records)
        assert all(one in body for one in cut)


@given(st.binary())
def test_whatever_else_comes_is_refused(body: bytes) -> None:
    try:
        assert all(one.startswith(b"{") for one in split(body))
    except ProblemError as refusal:
        assert refusal.problem.code == "bad_body"


# A batch's life


class Reply(NamedTuple):
    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class Server:
    """Answers each record with itself, once it may."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.refusals: list[bytes] = []
        self.asked: list[bytes] = []
        self.at_once = self.most = 0

    async def ask(self, path: str, headers: Mapping[bytes, bytes], client: str, body: bytes) -> Reply:
        self.asked.append(headers[b"x-request-id"])
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.open.wait()
        finally:
            self.at_once -= 1
        if self.refusals:
            refusal = {b"x-tandem-code": self.refusals.pop(), b"retry-after-ms": b"1"}
            return Reply(429, refusal, b'{"message": "not now"}')
        return Reply(200, {}, body)


def order(records: int = 3, parallel: int = 10, owner: str = "ann") -> Order:
    return Order(owner, "/api/m/1", {}, "", [b'{"at": %d}' % at for at in range(records)], parallel)


def lived(tmp_path: Path, life: Callable[[Executions, Server], Awaitable[None]]) -> None:
    async def run() -> None:
        server = Server()
        batches = Executions(tmp_path / "batches", server.ask)
        async with asyncio.timeout(20):
            await life(batches, server)
            await batches.close()

    asyncio.run(run())


def read(batches: Executions, execution: str) -> executions.Progress:
    found = batches.read("ann", "/api/m/1", execution)
    assert found is not None
    return found


async def until(check: Callable[[], bool]) -> None:
    while not check():
        await asyncio.sleep(0)


def test_a_batch_is_pending_then_under_way_then_complete_and_asks_no_more_at_once_than_it_may(tmp_path: Path) -> None:
    async def life(batches: Executions, server: Server) -> None:
        execution = batches.start(order(7, parallel=2))
        await until(lambda: server.at_once == 2)
        assert read(batches, execution) == executions.Progress("pending", 0, 7, [])
        server.open.set()
        await until(lambda: read(batches, execution).state == "complete")
        assert [json.loads(one)["at"] for one in read(batches, execution).results] == list(range(7))
        assert (server.most, batches.ids("ann", "/api/m/1"), batches.ids("ann", "/api/m/2")) == (2, [execution], [])

    lived(tmp_path, life)


def test_a_record_that_finds_no_room_is_asked_again_and_one_that_is_refused_is_not(tmp_path: Path) -> None:
    async def life(batches: Executions, server: Server) -> None:
        server.open.set()
        server.refusals = [b"quota_exceeded", b"overloaded", b"rate_limited"]
        execution = batches.start(order(1))
        await until(lambda: read(batches, execution).state == "complete")
        assert len(server.asked) == 3
        [result] = [json.loads(one) for one in read(batches, execution).results]
        assert (result["success"], result["errorMessage"]) == (False, "not now")

    lived(tmp_path, life)


def test_a_batch_that_is_removed_asks_no_more_also_when_another_process_removes_it(tmp_path: Path) -> None:
    async def life(batches: Executions, server: Server) -> None:
        other = Executions(tmp_path / "batches", server.ask)
        mine, theirs = batches.start(order(5, parallel=1)), batches.start(order(5, parallel=1))
        await until(lambda: server.at_once == 2)
        assert batches.remove("ann", "/api/m/1", mine)
        assert other.remove("ann", "/api/m/1", theirs) and not other.remove("ann", "/api/m/1", theirs)
        await until(lambda: server.at_once == 1)
        server.open.set()
        await until(lambda: server.at_once == 0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(server.asked) == 2

    lived(tmp_path, life)


def test_what_a_process_that_ended_has_left_undone_is_told_as_failed(tmp_path: Path) -> None:
    async def life(batches: Executions, server: Server) -> None:
        execution = batches.start(order(3))
        await until(lambda: server.at_once == 3)
        after = Executions(tmp_path / "batches", server.ask)
        assert read(after, execution).state == "pending"
        await batches.close()
        left = read(after, execution)
        assert (left.state, left.done) == ("complete", 3)
        assert [json.loads(one)["errorMessage"] for one in left.results] == [executions.LOST] * 3

    lived(tmp_path, life)


def test_a_process_takes_so_many_batches_and_keeps_so_many(tmp_path: Path) -> None:
    async def life(batches: Executions, server: Server) -> None:
        first = batches.start(order())
        for _ in range(MAX_AT_ONCE + MAX_WAITING - 1):
            batches.start(order())
        with pytest.raises(ProblemError) as refusal:
            batches.start(order())
        assert refusal.value.problem.code == "queue_full"
        server.open.set()
        await until(lambda: all(read(batches, one).state == "complete" for one in batches.ids("ann", "/api/m/1")))
        assert server.most <= MAX_AT_ONCE * 3
        for _ in range(MAX_KEPT):
            last = batches.start(order(1))
            await until(lambda last=last: read(batches, last).state == "complete")
        assert len(batches.ids("ann", "/api/m/1")) <= MAX_KEPT
        assert batches.read("ann", "/api/m/1", first) is None

    lived(tmp_path, life)


def test_an_id_that_is_none_is_nobodys(tmp_path: Path) -> None:
    async def life(batches: Executions, server: Server) -> None:
        for other in ("", "..", "../batches", str(uuid.uuid4())):
            assert batches.read("ann", "/api/m/1", other) is None
            assert not batches.remove("ann", "/api/m/1", other)

    lived(tmp_path, life)


def test_results_that_are_too_large_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "MAX_RESULT_BYTES", 30)

    async def life(batches: Executions, server: Server) -> None:
        server.open.set()
        execution = batches.start(order(5, parallel=1))
        await until(lambda: read(batches, execution).state == "complete")
        results = [json.loads(one) for one in read(batches, execution).results]
        assert [one.get("at") for one in results] == [0, 1, 2, None, None]
        assert "too large" in results[3]["errorMessage"]

    lived(tmp_path, life)
