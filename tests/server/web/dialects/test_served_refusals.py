"""Too much and too late, in every dialect: 429, 503 and 504 as a real server gives them, in the dialect's own form."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import httpx
import pytest

from tests.harness.tandem import Tandem, eventually
from tests.server.web.dialects.test_open_inference import post
from tests.server.web.dialects.ways import JSON, WAYS, Way, code, told

ASLEEP = 1000
SLOW = f"function(d) {{ s <- max(d$n) - {ASLEEP}; if (s > 0 && s < 20) Sys.sleep(s); d$n }}"
"""A model that takes as many seconds as it is told, by numbers that no proof of a model comes upon."""
HELD_S = 6
ONE_WAY = {way.dialect: way for way in reversed(WAYS.values())}
"""One way to ask for each dialect."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """A server of one worker, for which one request may wait, and not for long."""
    tandem = Tandem(tmp_path_factory.mktemp("small"), r_workers=1, queue_max=1, queue_wait_s=0.4)
    tandem.drop("slow", SLOW)
    (tandem.r_models / "slow.yaml").write_text("schema: {inputs: [{name: n, type: numeric}]}\n")
    tandem.start()
    yield tandem
    assert tandem.stop() == 0


def ask(server: Tandem, way: Way, seconds: float, **headers: str) -> httpx.Response:
    path = way.path.format(model="slow", version=version(server))
    return post(server, path, way.body([("n", [str(ASLEEP + seconds)])]), headers=JSON | headers)


@cache
def version(server: Tandem) -> str:
    return str(server.model("slow")["version"])


def test_too_many_and_too_long_is_429_and_503_in_every_dialects_form(small: Tandem) -> None:
    found: dict[str, set[str]] = {dialect: set() for dialect in ONE_WAY}
    turns = list(ONE_WAY)
    with ThreadPoolExecutor(len(ONE_WAY) + 1) as pool:
        working = pool.submit(ask, small, WAYS["native rows"], HELD_S)
        eventually(lambda: small.metric("tandem_inflight", runtime="r") >= 1)
        [node] = small.get(f"/services/slow/{version(small)}/pool").json()
        assert (node["Workers"], node["BusyWorkers"]) == (1, 1)
        while any(len(codes) < 2 for codes in found.values()):
            turns.append(turns.pop(0))  # who comes first is the one that may wait
            asked = {dialect: pool.submit(ask, small, ONE_WAY[dialect], 0) for dialect in turns}
            for dialect, reply in {dialect: future.result() for dialect, future in asked.items()}.items():
                if reply.status_code == 200:
                    continue  # the slow call has ended
                said = code(reply)
                assert (reply.status_code, said) in ((429, "queue_full"), (503, "overloaded")), reply.text
                assert int(reply.headers["retry-after"]) >= 1 and int(reply.headers["retry-after-ms"]) > 0
                assert told(ONE_WAY[dialect], reply)
                found[dialect].add(said)
            if working.done():
                working = pool.submit(ask, small, WAYS["native rows"], HELD_S)
    assert working.result().status_code in (200, 429)


@pytest.mark.parametrize("dialect", ONE_WAY)
def test_too_late_is_504_in_every_dialects_form(small: Tandem, dialect: str) -> None:
    way = ONE_WAY[dialect]
    reply = ask(small, way, 0.6, **{"x-request-timeout-ms": "200"})
    assert (reply.status_code, code(reply)) == (500 if dialect == "azureml" else 504, "deadline_exceeded")
    if dialect == "azureml":
        assert told(way, reply) == "Scoring timeout after 200 ms"
    else:
        assert "in time" in told(way, reply)


def test_a_live_request_goes_before_the_records_of_a_batch(small: Tandem) -> None:
    path = f"/api/slow/{version(small)}"
    begun = post(small, f"{path}/batch", [{"n": ASLEEP + 0.25}] * 12, headers=JSON).json()
    about = f"{path}/batch/{begun['batchExecutionId']}"
    eventually(lambda: small.get(about).json()["completedItemCount"])
    assert ask(small, WAYS["native rows"], 0).status_code == 200
    left = small.get(about).json()
    assert left["state"] == "inProgress" and left["completedItemCount"] < 12
    eventually(lambda: small.get(about).json()["state"] == "complete")
    results = small.get(about).json()["batchExecutionResults"]
    assert [one["outputParameters"]["response"] for one in results] == [ASLEEP + 0.25] * 12, (
        "none was lost to a full queue"
    )
