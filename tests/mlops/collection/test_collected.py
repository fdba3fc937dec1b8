"""Collection in a running server: what was sent and answered is in the store, once, whatever is killed or away."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from tests.harness.tandem import Tandem, descendants, eventually, run_r

CAR = {"cyl": 6.0, "disp": 160.0, "hp": 110.0, "wt": 2.62}
SPOOL_BYTES = 1 << 20


class Collecting(Tandem):
    """A server whose store can be taken away and given back."""

    @property
    def shelf(self) -> Path:
        return self.folder / "shelf"

    def rows(self, model: str) -> list[dict[str, Any]]:
        """All that is recorded of a model."""
        parts = sorted((self.shelf / "store" / "collected" / model).rglob("*.parquet"))
        return [row for part in parts for row in pq.ParquetFile(part).read().to_pylist()]

    def ids(self, model: str) -> list[str]:
        return [row["request_id"] for row in self.rows(model)]

    def twice(self, model: str) -> list[tuple[str, int]]:
        """Rows that are recorded more than once."""
        seen = Counter((row["request_id"], row["row"]) for row in self.rows(model))
        return [key for key, times in seen.items() if times > 1]

    def sent(self, model: str) -> dict[str, int]:
        outcomes = ("sent", "not_sampled", "too_large", "buffer_full", "no_recorder")
        return {one: int(self.metric("tandem_collect_requests_total", model=model, outcome=one)) for one in outcomes}

    def received(self, model: str) -> dict[str, int]:
        outcomes = ("received", "kept", "undecodable", "spool_full")
        return {one: int(self.metric("tandem_recorder_requests_total", model=model, outcome=one)) for one in outcomes}

    def settled(self, model: str) -> dict[str, int]:
        """What became of all copies, once nothing is on its way any more."""
        seen = eventually(lambda: self._at_rest(model))
        assert isinstance(seen, dict)
        return seen

    def _at_rest(self, model: str) -> dict[str, int] | None:
        seen = self.received(model)
        spooled = self.metric("tandem_recorder_spool_bytes")
        done = seen["kept"] + seen["undecodable"] + seen["spool_full"]
        return seen if spooled == 0 and done == seen["received"] and self._told(model) else None

    def _told(self, model: str) -> bool:
        """Whether the web processes have written what they counted, which they do a few times a second."""
        answered = self.metric("tandem_requests_total", model=model)
        return sum(self.sent(model).values()) >= answered - self.unasked

    def truth(self, name: str, request_id: str, value: float) -> httpx.Response:
        rows = [{"request_id": request_id, "value": value}]
        return httpx.post(f"{self.url}/v1/truth/{name}", json={"rows": rows}, headers=self.headers())

    unasked = 0
    """Requests that no model was asked for, and whose copies nobody waits for."""

    @property
    def recorder(self) -> int | None:
        assert self.process is not None
        of = [pid for pid in descendants(self.process.pid) if b"mlops.collection" in _command(pid)]
        return of[0] if of else None

    @contextmanager
    def away(self) -> Iterator[None]:
        """The store cannot be reached: there is a file where its folder was."""
        aside = self.folder / "aside"
        self.shelf.rename(aside)
        self.shelf.write_text("")
        yield
        self.shelf.unlink()
        aside.rename(self.shelf)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Load:
    """Callers that ask one model until they are stopped, each request by an id of its own."""

    def __init__(self, tandem: Tandem, model: str, callers: int = 3) -> None:
        self.codes: Counter[int | str] = Counter()
        self.ids: set[str] = set()
        self._url = f"{tandem.url}/v1/models/{model}/score"
        self._headers = tandem.headers()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(callers)]

    def __enter__(self) -> Load:
        self._tag = f"{time.monotonic_ns():x}"
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self, number: int) -> None:
        with httpx.Client(headers=self._headers, timeout=30) as client:
            at = 0
            while not self._stop.is_set():
                name = f"{self._tag}-{number}-{at}"
                at += 1
                try:
                    reply = client.post(self._url, json={"rows": [CAR]}, headers={"x-request-id": name})
                    self.codes[reply.status_code] += 1
                    self.ids.add(name)
                except httpx.TransportError:  # of a web process that was killed
                    self.codes["lost"] += 1


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory, example_models: Path) -> Iterator[Collecting]:
    folder = tmp_path_factory.mktemp("collected")
    tandem = Collecting(
        folder,
        store=folder / "shelf" / "store",
        spool_mb=SPOOL_BYTES / 2**20,
        spool_every_s=1,
        endpoints=folder / "endpoints",
        web_workers=2,
        r_workers=1,
    )
    (folder / "endpoints").mkdir()
    (folder / "endpoints" / "cars.yml").write_text("name: cars\ntraffic: {blue: 100}\n")
    blue = "name: blue\nendpoint_name: cars\nmodel: azureml:twin:1\ncollect: {mask: {wt: drop}}\n"
    (folder / "endpoints" / "blue.yml").write_text(blue)
    tandem.drop("mpg", "lm(mpg ~ cyl + disp + hp + wt, mtcars)")
    for name, said in (
        ("mpg", "collect: {}\n"),
        ("tenth", "collect: {sampling: 0.1, failures: false}\n"),
        ("quiet", ""),
    ):
        if name != "mpg":
            shutil.copy(tandem.r_models / "mpg.rds", tandem.r_models / f"{name}.rds")
        (tandem.r_models / f"{name}.yaml").write_text(said)
    (tandem.r_models / "twin" / "1").mkdir(parents=True)
    shutil.copy(tandem.r_models / "mpg.rds", tandem.r_models / "twin" / "1" / "model.rds")
    tandem.start()
    yield tandem
    assert tandem.stop() == 0


def test_what_was_sent_and_answered_is_in_the_store(collecting: Collecting) -> None:
    eventually(lambda: collecting.recorder)
    rows = [CAR, CAR | {"hp": 90.0}]
    reply = collecting.score("mpg", {"rows": rows}, headers={"x-request-id": "first"})
    found = eventually(lambda: [row for row in collecting.rows("mpg") if row["request_id"] == "first"])
    assert [row["out_response"] for row in found] == reply.json()["predictions"]
    assert [{name: row[f"in_{name}"] for name in CAR} for row in found] == rows
    assert [(row["row"], row["code"], row["version"], row["mirrored"]) for row in found] == [
        (at, "ok", collecting.model("mpg")["versions"][0]["version"], False) for at in (0, 1)
    ]


def test_requests_that_failed_are_there_with_their_bodies(collecting: Collecting) -> None:
    assert collecting.score("mpg", {"rows": [{"cyl": "six"}]}, headers={"x-request-id": "bad"}).status_code == 422
    [row] = eventually(lambda: [row for row in collecting.rows("mpg") if row["request_id"] == "bad"])
    assert (row["code"], row["raw"], row["out_response"]) == ("invalid_input", '{"rows":[{"cyl":"six"}]}', None)


def test_a_share_of_the_requests_can_be_recorded_and_the_ledger_says_of_how_many_none_is(
    collecting: Collecting,
) -> None:
    with httpx.Client(headers=collecting.headers()) as client:
        for n in range(200):
            url = f"{collecting.url}/v1/models/tenth/score"
            assert client.post(url, json={"rows": [CAR]}, headers={"x-request-id": f"r{n}"}).status_code == 200
    collecting.score("tenth", {"rows": [{}]}, headers={"x-request-id": "bad"})
    received = collecting.settled("tenth")
    sent = collecting.sent("tenth")
    assert sent["sent"] == received["kept"] == len(collecting.ids("tenth"))
    assert sent["sent"] + sent["not_sampled"] == 201
    assert 5 <= sent["sent"] <= 40 and "bad" not in collecting.ids("tenth")


def test_a_deployment_says_for_itself_what_is_recorded(collecting: Collecting) -> None:
    headers = {"x-request-id": "by-endpoint"}
    assert collecting.score("", {"rows": [CAR]}, path="/v1/models/cars/score", headers=headers).status_code == 200
    collecting.score("twin", {"rows": [CAR]}, headers={"x-request-id": "by-name"})
    [row] = eventually(lambda: collecting.rows("twin"))
    assert (row["request_id"], row["endpoint"], row["deployment"]) == ("by-endpoint", "cars", "blue")
    assert "in_wt" not in row and row["in_hp"] == 110.0


def test_where_nothing_is_collected_nothing_is_counted(collecting: Collecting) -> None:
    assert collecting.score("quiet", {"rows": [CAR]}).status_code == 200
    eventually(lambda: collecting.metric("tandem_requests_total", model="quiet") == 1)
    assert collecting.settled("mpg")["kept"]
    assert sum(collecting.sent("quiet").values()) == 0


def test_what_turned_out_to_be_right_is_exported_beside_what_was_predicted(collecting: Collecting) -> None:
    for name, car in (("t-1", CAR), ("t-2", CAR | {"hp": 90.0})):
        collecting.score("mpg", {"rows": [car]}, headers={"x-request-id": name})
    told = [("t-1", 18.0), ("t-1", 21.5), ("t-2", 30.0), ("nobody", 1.0)]
    for name, value in told:
        assert collecting.truth("mpg", name, value).json() == {"rows": 1}
    eventually(lambda: {"t-1", "t-2"} <= set(collecting.ids("mpg")))
    collecting.settled("mpg")
    out = collecting.folder / "mpg.csv"
    done = collecting.command("collect", "export", "--model", "mpg", "--truth", "--since", "2020-01-01", "-o", str(out))
    assert done.returncode == 0, done.stderr
    assert "2 of them with truth; 1 rows of truth are of none of them" in done.stdout
    code = """x <- read.csv(commandArgs(TRUE))
        x <- x[!is.na(x$truth), ]
        cat(x$request_id, x$in_hp, x$truth, class(x$out_response))"""
    assert run_r(code, str(out)) == "t-1 t-2 110 90 21.5 30 numeric"
    table = out.with_suffix(".parquet")
    done = collecting.command(
        "collect", "export", "--model", "mpg", "--truth", "--until", "2020-01-01", "-o", str(table)
    )
    assert (done.returncode, "nothing is recorded of mpg" in done.stderr) == (1, True)
    done = collecting.command("collect", "export", "--model", "mpg", "--truth", "-o", str(table))
    assert done.returncode == 0, done.stderr
    rows = {row["request_id"]: row["truth"] for row in pq.ParquetFile(table).read().to_pylist()}
    assert (rows["t-1"], rows["t-2"], rows["first"]) == (21.5, 30.0, None)


def test_truth_is_taken_for_what_is_collected_alone(collecting: Collecting) -> None:
    assert collecting.truth("cars", "by-endpoint", 20.0).status_code == 202
    assert collecting.truth("none", "x", 1.0).json()["code"] == "not_found"
    assert collecting.truth("quiet", "x", 1.0).json()["code"] == "not_collected"
    reply = httpx.post(f"{collecting.url}/v1/truth/mpg", json={"rows": [{"value": 1}]}, headers=collecting.headers())
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_input")


def test_a_recorder_that_is_killed_harms_no_request_and_writes_no_row_twice(collecting: Collecting) -> None:
    before = collecting.sent("mpg"), collecting.settled("mpg"), Counter(collecting.ids("mpg"))
    with Load(collecting, "mpg") as load:
        for _ in range(3):
            killed = eventually(lambda: collecting.recorder)
            os.kill(killed, signal.SIGKILL)
            there = collecting.received("mpg")["received"]
            eventually(
                lambda p=killed, t=there: (
                    collecting.recorder not in (None, p) and collecting.received("mpg")["received"] > t
                )
            )
    received = collecting.settled("mpg")
    sent = collecting.sent("mpg")
    new = Counter(collecting.ids("mpg")) - before[2]
    assert set(load.codes) == {200}
    assert max(new.values()) == 1 and new.keys() <= load.ids
    assert received["kept"] - before[1]["kept"] == len(new)
    assert sum(sent.values()) - sum(before[0].values()) == len(load.ids)
    assert received["received"] == received["kept"] + received["spool_full"]
    assert received["received"] - before[1]["received"] <= sent["sent"] - before[0]["sent"]
    assert sent["no_recorder"] > 0


def test_a_web_process_that_is_killed_takes_what_it_held_and_nothing_else(collecting: Collecting) -> None:
    before = collecting.sent("mpg"), collecting.settled("mpg")
    with Load(collecting, "mpg") as load:
        eventually(lambda: load.codes[200] > 20)
        os.kill(collecting.processes("web")[0], signal.SIGKILL)
        seen = load.codes[200]
        eventually(lambda: load.codes[200] > seen + 20)
    collecting.unasked = load.codes["lost"] + len(load.ids)  # what the killed one had not written yet is not known
    received, sent = collecting.settled("mpg"), collecting.sent("mpg")
    collecting.unasked = 0
    assert set(load.codes) <= {200, "lost"}
    assert received["received"] - before[1]["received"] <= sent["sent"] - before[0]["sent"]
    assert not collecting.twice("mpg")
    assert received["kept"] - before[1]["kept"] <= len(load.ids) + load.codes["lost"]


def test_a_store_that_is_away_is_waited_for(collecting: Collecting) -> None:
    collecting.settled("mpg")
    with collecting.away():
        for n in range(20):
            reply = collecting.score("mpg", {"rows": [CAR]}, headers={"x-request-id": f"away-{n}"})
            assert reply.status_code == 200
        eventually(lambda: collecting.metric("tandem_recorder_store_away") == 1)
        assert collecting.metric("tandem_recorder_spool_bytes") > 0
    eventually(lambda: {f"away-{n}" for n in range(20)} <= set(collecting.ids("mpg")))
    assert not collecting.twice("mpg")
    eventually(lambda: collecting.metric("tandem_recorder_store_away") == 0)


def test_a_spool_that_is_full_drops_and_counts(collecting: Collecting) -> None:
    before = collecting.settled("mpg")
    body = {"rows": [CAR] * 1000}
    with collecting.away():
        for _ in range(40):
            assert collecting.score("mpg", body).status_code == 200
        eventually(lambda: collecting.received("mpg")["received"] == before["received"] + 40)
        assert collecting.received("mpg")["spool_full"] > before["spool_full"]
        assert collecting.metric("tandem_recorder_spool_bytes") <= SPOOL_BYTES
        os.kill(eventually(lambda: collecting.recorder), signal.SIGKILL)
    after = collecting.settled("mpg")
    assert after["received"] - before["received"] == 40
    assert after["kept"] - before["kept"] == 40 - (after["spool_full"] - before["spool_full"]) > 0


def test_a_copy_that_is_too_large_is_counted(collecting: Collecting) -> None:
    assert collecting.score("mpg", {"rows": [CAR] * 30_000}).status_code == 200
    eventually(lambda: collecting.sent("mpg")["too_large"] == 1)


def test_at_the_stop_everything_goes_to_the_store_and_nothing_is_left(collecting: Collecting) -> None:
    for n in range(10):
        collecting.score("mpg", {"rows": [CAR]}, headers={"x-request-id": f"last-{n}"})
    assert collecting.stop() == 0
    assert {f"last-{n}" for n in range(10)} <= set(collecting.ids("mpg"))
    assert not list((collecting.folder / "data" / "recordings").glob("*.[os]p*"))
    collecting.start()
