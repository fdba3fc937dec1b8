"""A mirror in a running server: its answers are compared with those that callers got, who never notice it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness.tandem import Tandem, eventually, run_r
from tests.mlops.collection.test_collected import CAR, Collecting

LIVE = "lm(mpg ~ cyl + disp + hp + wt, mtcars)"
SLEEPS, CRASHES, FAILS = 101.0, 102.0, 103.0
MIRROR = """
f <- function(x) {
  if (any(x == 101)) Sys.sleep(2)
  if (any(x == 102)) tools::pskill(Sys.getpid(), 9L)
  if (any(x == 103)) stop("not that one")
  x
}
local({f <- f; lm(mpg ~ f(cyl) + disp + hp, mtcars)})
"""
BODY = {"rows": [CAR]}


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    folder = tmp_path_factory.mktemp("mirrored")
    tandem = Collecting(folder, store=folder / "shelf" / "store", spool_every_s=1, endpoints=folder / "endpoints")
    for version, code in (("1", LIVE), ("2", MIRROR)):
        (tandem.r_models / "mpg" / version).mkdir(parents=True)
        run_r(f"saveRDS({{{code}}}, commandArgs(TRUE))", str(tandem.r_models / "mpg" / version / "model.rds"))
    (folder / "endpoints").mkdir()
    files = {
        "cars": "name: cars\ntraffic: {blue: 100}\nmirror_traffic: {green: 50}\n",
        "blue": "name: blue\nendpoint_name: cars\nmodel: azureml:mpg:1\n",
        "green": "name: green\nendpoint_name: cars\nmodel: azureml:mpg:2\ncollect: {}\n"
        "request_settings: {request_timeout_ms: 1500}\n",
    }
    for name, text in files.items():
        (folder / "endpoints" / f"{name}.yml").write_text(text)
    tandem.start()
    eventually(lambda: tandem.version("mpg", "ready") and tandem.recorder)
    yield tandem
    assert tandem.stop() == 0


def outcome(tandem: Tandem, name: str) -> float:
    return tandem.metric("tandem_mirror_requests_total", endpoint="cars", deployment="green", outcome=name)


def asked(tandem: Tandem, body: Any, until: str) -> list[float]:
    """Ask the endpoint until a copy has come to this end; how long each request took, in seconds."""
    before = outcome(tandem, until)
    taken = []
    with httpx.Client(headers=tandem.headers(), timeout=30) as client:
        deadline = time.monotonic() + 30
        while outcome(tandem, until) == before:
            assert time.monotonic() < deadline, until
            began = time.monotonic()
            reply = client.post(f"{tandem.url}/v1/models/cars/score", json=body)
            taken.append(time.monotonic() - began)
            assert (reply.status_code, reply.headers["azureml-model-deployment"]) == (200, "blue")
    return taken


def report(tandem: Tandem) -> dict[str, Any]:
    return dict(eventually(lambda: tandem.get("/v1/endpoints/cars/comparison").json())[0])


def test_answers_of_the_mirror_are_compared_and_recorded(mirrored: Collecting) -> None:
    for _ in range(3):
        asked(mirrored, BODY, "answered")
    found = eventually(lambda: mirrored.get("/v1/endpoints/cars/comparison").json())[0]
    assert found["live"] == {"deployment": "blue", "model": "mpg", "version": "1"}
    assert found["mirror"] == {"deployment": "green", "model": "mpg", "version": "2"}
    code = """live <- lm(mpg ~ cyl + disp + hp + wt, mtcars); mirror <- lm(mpg ~ cyl + disp + hp, mtcars)
        car <- data.frame(cyl = 6, disp = 160, hp = 110, wt = 2.62)
        cat(format(abs(predict(live, car) - predict(mirror, car)), digits = 12))"""
    output = found["outputs"]["response"]
    assert output["absolute_difference"]["1"] == pytest.approx(float(run_r(code)))
    assert found["requests"]["differ"] == output["rows"] > 0
    assert found["predict_seconds"]["live"]["0.5"] > 0 and found["predict_seconds"]["mirror"]["0.5"] > 0
    worst = found["worst"][0]
    assert abs(worst["live"] - worst["mirror"]) == pytest.approx(output["absolute_difference"]["1"])
    rows = eventually(lambda: mirrored.rows("mpg"))
    assert {(row["deployment"], row["mirrored"]) for row in rows} == {("green", True)}
    assert worst["request_id"] in {row["request_id"] for row in eventually(lambda: mirrored.rows("mpg"))}
    of = {"endpoint": "cars", "deployment": "green", "outcome": "differ"}
    eventually(lambda: mirrored.metric("tandem_mirror_compared_total", **of) >= found["requests"]["differ"])


@pytest.mark.parametrize(
    ("cylinders", "end"), [(SLEEPS, "deadline_exceeded"), (CRASHES, "worker_crashed"), (FAILS, "failed")]
)
def test_a_mirror_that_sleeps_crashes_or_fails_is_not_noticed(mirrored: Collecting, cylinders: float, end: str) -> None:
    taken = asked(mirrored, {"rows": [CAR | {"cyl": cylinders}]}, end)
    assert sorted(taken)[len(taken) // 2] < 0.5 and max(taken) < 1.4, "a caller waited for the mirror"


def test_what_only_the_live_one_could_answer_is_in_the_report(mirrored: Collecting) -> None:
    eventually(lambda: report(mirrored)["requests"]["only_live"] > 0)


def test_the_report_is_for_analysts_and_endpoints_that_there_are(mirrored: Collecting) -> None:
    assert mirrored.get("/v1/endpoints/trucks/comparison").json()["code"] == "not_found"
    added = mirrored.command("users", "add", "sue", "--role", "scorer", text="long enough\n")
    assert added.returncode == 0, added.stderr
    assert mirrored.get("/v1/endpoints/cars/comparison", user="sue").json()["code"] == "forbidden"
