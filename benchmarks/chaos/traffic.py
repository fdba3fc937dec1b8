"""The traffic of an endpoint is moved to and fro at full load: no request is lost, none goes where no traffic is."""

from __future__ import annotations

import time

import orjson

from benchmarks.accounts import send
from benchmarks.chaos.change import FOR_EVER_S, unnoticed
from benchmarks.chaos.checks import NONE
from benchmarks.chaos.load import Asked, Load
from benchmarks.chaos.stage import BODY, CARS, asked, stage
from benchmarks.harness import Bench, Figure, Measured
from benchmarks.tandem import Tandem

ENDPOINT = "split"
DEPLOYMENTS = {"blue": CARS, "green": "lm(dist ~ I(speed^2), cars)"}
LOOKS = 5
"""Requests after each change, over connections of their own, so that several web processes answer."""


def traffic(bench: Bench) -> Measured:
    """Each change gives all the traffic to the other deployment."""
    count, lasts_s = bench.pick(200, 8), bench.pick(60.0, 2.0)
    with stage(bench, "traffic", DEPLOYMENTS, web_workers=2) as tandem:
        define(tandem, {name: name for name in DEPLOYMENTS}, {"blue": 100})
        right = {name: asked(tandem, name).answers for name in DEPLOYMENTS}
        with tandem.connect() as connection:
            one = Asked(connection.posting(tandem.path(ENDPOINT), BODY), right["blue"] | right["green"])
        seconds, elsewhere = [], 0
        began = time.monotonic()
        with Load(tandem.port, [one], [(FOR_EVER_S, 0.0)], connections=16) as load:
            for number in range(1, count + 1):
                name = ("blue", "green")[number % 2]
                at = time.monotonic()
                send(tandem, "PATCH", f"/v1/endpoints/{ENDPOINT}", {"traffic": {name: 100}})
                seconds.append(time.monotonic() - at)
                elsewhere += sum(_answer(tandem, one) not in right[name] for _ in range(LOOKS))
                time.sleep(max(0.0, began + number * lasts_s / count - time.monotonic()))
            result = load.stop()
    about = f"{count} changes of traffic"
    figures = unnoticed(about, result)
    figures.append(Figure(f"{about}: answered by who had no traffic", [elsewhere], "", NONE))
    figures.append(Figure("a change of traffic: in force everywhere after", seconds, "s"))
    return Measured(figures, {"traffic": {"statuses": result.statuses(), "examples": result.examples}})


def define(tandem: Tandem, models: dict[str, str], shares: dict[str, int]) -> None:
    """Make the endpoint, with a deployment of the current version of each model."""
    with tandem.connect() as connection:
        listed = orjson.loads(connection.get("/v1/models").body)
    versions = {model["model"]: model["version"] for model in listed}
    send(tandem, "PUT", f"/v1/endpoints/{ENDPOINT}", {})
    for name, model in models.items():
        path = f"/v1/endpoints/{ENDPOINT}/deployments/{name}"
        send(tandem, "PUT", path, {"model": f"azureml:{model}:{versions[model]}"})
    send(tandem, "PATCH", f"/v1/endpoints/{ENDPOINT}", {"traffic": shares})


def _answer(tandem: Tandem, one: Asked) -> bytes:
    with tandem.connect() as connection:
        return connection.send(one.request).body
