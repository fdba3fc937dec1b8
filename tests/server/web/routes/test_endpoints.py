"""Endpoints over real HTTP: who answers, what callers are told of it, and that a change loses no request."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.tandem import Tandem, eventually
from tests.server.web.scoring.test_route import CAR, problem

SCRIPT = "def init():\n    pass\n\n\ndef run(raw_data):\n    return 'VERSION'\n"
WHO = "azureml-model-deployment"


class Served(Tandem):
    """A server whose endpoints are in a folder."""

    @property
    def endpoints(self) -> Path:
        return self.folder / "endpoints"

    def write(self, name: str, text: str) -> None:
        """Write a file as an editor does: it is there whole or not at all."""
        beside = self.endpoints / f".{name}"
        beside.write_text(text)
        beside.replace(self.endpoints / name)

    def define(self, endpoint: str, more: str = "", **deployments: str) -> None:
        for name, model in deployments.items():
            text = f"name: {name}\nendpoint_name: {endpoint}\nmodel: azureml:{model}\n"
            self.write(f"{endpoint}-{name}.yml", text)
        self.write(f"{endpoint}.yml", f"name: {endpoint}\n{more}")

    def endpoint(self, name: str) -> dict[str, Any]:
        reply = self.get(f"/v1/endpoints/{name}")
        return dict(reply.json()) if reply.status_code == 200 else {}

    def shift(self, name: str, traffic: str) -> None:
        """Change the traffic and wait until all web processes have said that it is in force."""
        before = self._changes()
        self.write(f"{name}.yml", f"name: {name}\ntraffic: {{{traffic}}}\n")
        eventually(lambda: self._changes() > before)

    def _changes(self) -> int:
        return self.log_path.read_bytes().count(b'"endpoints changed"')


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, example_models: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("endpoints")
    tandem = Served(folder, endpoints=folder / "endpoints", r_workers=1, python_workers=1, web_workers=2)
    tandem.endpoints.mkdir()
    for version in ("1", "2"):
        script = tandem.python_models / "echo" / version
        script.mkdir(parents=True)
        (script / "score.py").write_text(SCRIPT.replace("VERSION", version))
        of_r = tandem.r_models / "mpg" / version
        of_r.mkdir(parents=True)
        shutil.copy(example_models / "mpg.rds", of_r / "model.rds")
    tandem.define("cars", "traffic: {blue: 90, green: 10}\ntags: {team: cars}\n", blue="mpg:1", green="mpg:2")
    tandem.define("words", "traffic: {blue: 100}\n", blue="echo:1", green="echo:2")
    tandem.define("waiting", "", blue="echo:1")
    tandem.define("limping", "traffic: {blue: 60, lost: 40}\n", blue="echo:1", lost="echo:9")
    tandem.define("mpg", "traffic: {only: 100}\nkey_header: X-Customer\n", only="mpg:1")
    tandem.start()
    yield tandem
    assert tandem.stop() == 0


def ask(server: Tandem, endpoint: str, body: Any = None, **headers: str) -> httpx.Response:
    path = f"/endpoints/{endpoint}/invocations"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.score("", body or {"instances": [CAR]}, path=path, headers=named)


def test_a_request_is_answered_by_the_deployment_that_the_reply_names(served: Served) -> None:
    with httpx.Client(headers=served.headers()) as client:
        found = [
            client.post(
                f"{served.url}/v1/models/cars/score", json={"rows": [CAR]}, headers={"x-request-id": f"shares-{n}"}
            )
            for n in range(100)
        ]
    assert {reply.status_code for reply in found} == {200}
    versions = {"blue": "1", "green": "2"}
    assert all(reply.json()["version"] == versions[reply.headers[WHO]] for reply in found)
    assert 2 <= Counter(reply.headers[WHO] for reply in found)["green"] <= 25


def test_an_endpoint_is_asked_in_every_dialect_with_the_answers_of_the_model(served: Served) -> None:
    native = served.score("cars", {"rows": [CAR]}).json()["predictions"]
    assert ask(served, "cars").json() == {"predictions": native}
    for path, body in (
        ("/serving-endpoints/cars/invocations", {"dataframe_records": [CAR]}),
        ("/v1/models/cars:predict", {"instances": [CAR]}),
    ):
        reply = served.score("", body, path=path)
        assert (reply.status_code, reply.json()["predictions"]) == (200, native)
        assert reply.headers[WHO] in ("blue", "green")
    inputs = [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
        for name, value in CAR.items()
    ]
    reply = served.score("", {"inputs": inputs}, path="/v2/models/cars/infer")
    assert reply.json()["outputs"][0]["data"] == native


def test_vetivers_clients_get_the_form_of_the_language_that_answers(served: Served) -> None:
    native = served.score("cars", {"rows": [CAR]}).json()["predictions"]
    reply = served.score("", [CAR], path="/endpoints/cars/predict")
    assert reply.json() == [{".pred": value} for value in native] and reply.headers[WHO] in ("blue", "green")
    assert served.score("", [1], path="/endpoints/words/predict").json() == {"predict": "1"}
    assert served.get("/endpoints/cars/metadata").json()["version"] == "1"
    assert list(served.get("/endpoints/cars/prototype").json()) == list(CAR)
    refused = served.score("", [{}], path="/endpoints/cars/predict")
    assert (refused.status_code, refused.json()["error"]) == (422, "422 - invalid_input")


def test_azures_address_names_the_deployment_once_also_where_a_header_does(served: Served) -> None:
    for headers in ({}, {WHO: "green"}):
        reply = served.score("", {"data": [CAR]}, path="/endpoints/cars/score", headers=headers)
        assert reply.status_code == 200, reply.text
        assert reply.headers.get_list(WHO) in ([["green"]] if headers else [["blue"], ["green"]])
    unknown = served.score("", {"data": [CAR]}, path="/endpoints/cars/score", headers={WHO: "red"})
    assert (unknown.status_code, unknown.json().keys()) == (404, {"message"})
    assert served.get("/endpoints/cars").text == "Healthy"


def test_equal_keys_get_the_same_deployment_and_so_does_an_id_that_is_tried_again(served: Served) -> None:
    for header in ("x_tandem_key", "x_request_id"):
        for value in ("a", "b"):
            assert len({ask(served, "cars", **{header: value}).headers[WHO] for _ in range(3)}) == 1


def test_a_header_names_the_deployment_also_one_without_traffic(served: Served) -> None:
    pinned = [ask(served, "words", azureml_model_deployment=name) for name in ("blue", "green")]
    assert [(reply.json()["predictions"], reply.headers[WHO]) for reply in pinned] == [("1", "blue"), ("2", "green")]
    unknown = ask(served, "words", azureml_model_deployment="red")
    assert (unknown.status_code, unknown.headers["x-tandem-code"]) == (404, "unknown_deployment")
    assert "it has blue, green" in unknown.text


def test_an_endpoint_without_traffic_says_so_in_the_form_of_the_dialect(served: Served) -> None:
    problem(served.score("waiting", {"rows": []}), 404, "no_traffic")
    assert ask(served, "waiting").json()["code"] == "no_traffic"
    assert ask(served, "waiting", azureml_model_deployment="blue").status_code == 200


def test_a_deployment_that_cannot_answer_loses_its_requests_to_the_others(served: Served) -> None:
    before = served.metric("tandem_endpoint_rerouted_total", endpoint="limping", deployment="blue")
    found = [ask(served, "limping", x_request_id=f"limping-{n}") for n in range(20)]
    assert {(reply.status_code, reply.headers[WHO]) for reply in found} == {(200, "blue")}
    eventually(lambda: served.metric("tandem_endpoint_rerouted_total", endpoint="limping") - before >= 3)
    assert served.metric("tandem_endpoint_ready", endpoint="limping", deployment="lost") == 0
    pinned = ask(served, "limping", azureml_model_deployment="lost")
    assert (pinned.status_code, pinned.headers["x-tandem-code"]) == (503, "no_worker")
    (lost,) = [one for one in served.endpoint("limping")["deployments"] if one["name"] == "lost"]
    assert (lost["state"], lost["reason"]) == ("failed", "There is no version 9 of the model echo; there is 1, 2.")


def test_a_model_keeps_its_own_paths_where_an_endpoint_has_its_name(served: Served) -> None:
    own = served.score("mpg", {"rows": [CAR]})
    assert WHO not in own.headers
    assert ask(served, "mpg").headers[WHO] == "only"


def test_the_routes_of_an_endpoint_say_what_is_in_force(served: Served) -> None:
    listed = served.get("/v1/endpoints").json()
    assert [one["name"] for one in listed] == sorted(one["name"] for one in listed)
    cars = next(one for one in listed if one["name"] == "cars")
    assert cars == served.endpoint("cars")
    assert (cars["traffic"], cars["tags"], cars["key_header"]) == (
        {"blue": 90, "green": 10},
        {"team": "cars"},
        "x-tandem-key",
    )
    assert [(one["name"], one["model"], one["traffic"], one["state"]) for one in cars["deployments"]] == [
        ("blue", "azureml:mpg:1", 90, "ready"),
        ("green", "azureml:mpg:2", 10, "ready"),
    ]
    problem(served.get("/v1/endpoints/none"), 404, "not_found")
    assert served.get("/endpoints/cars/ping").json()["status"] == "online"


def test_who_may_ask_an_endpoint_need_not_be_let_in_to_its_models(served: Served) -> None:
    added = served.command("users", "add", "caller", "--role", "none", text="long enough\n")
    assert added.returncode == 0, added.stderr
    assert served.command("grants", "add", "caller", "scorer", "--models", "words").returncode == 0
    headers = {"authorization": f"Bearer {served.token('caller')}"}

    def asked(path: str) -> int:
        return httpx.post(served.url + path, json={}, headers=headers).status_code

    eventually(lambda: asked("/endpoints/words/invocations") == 200)
    assert asked("/v1/models/echo/versions/1/score") == 404
    assert asked("/endpoints/cars/invocations") == 404
    assert [one["name"] for one in served.get("/v1/endpoints", user="caller").json()] == ["words"]
    assert served.get("/v1/endpoints/cars", user="caller").status_code == 404


def test_metrics_and_log_tell_who_answered_for_whom(served: Served) -> None:
    labels = {"endpoint": "words", "deployment": "blue", "code": "ok"}
    before = served.metric("tandem_endpoint_requests_total", **labels)
    ask(served, "words", x_request_id="told-of")
    eventually(lambda: served.metric("tandem_endpoint_requests_total", **labels) > before)
    assert served.metric("tandem_endpoint_traffic_ratio", endpoint="cars", deployment="blue") == 0.9
    (line,) = eventually(lambda: [one for one in served.log_lines() if one.get("request_id") == "told-of"])
    assert {key: line[key] for key in ("endpoint", "deployment", "model", "version")} == {
        "endpoint": "words",
        "deployment": "blue",
        "model": "echo",
        "version": "1",
    }


def test_a_folder_that_is_wrong_changes_nothing_and_is_told(served: Served) -> None:
    before = served.get("/v1/endpoints").json()
    served.write("words.yml", "name: words\ntraffic: {blue: 99}\n")
    eventually(lambda: served.metric("tandem_endpoints_refused") == 1)
    told = [line for line in served.log_lines() if "stay as they were" in line["message"]]
    assert told[-1]["reason"] == (
        "words.yml, line 2: 'traffic': the percentages add up to 99; they add up to 100, or to 0 where nothing is "
        "answered"
    )
    assert served.get("/v1/endpoints").json() == before
    served.write("words.yml", "name: words\ntraffic: {blue: 100}\n")
    eventually(lambda: served.metric("tandem_endpoints_refused") == 0)


def test_what_files_define_is_not_changed_over_http(served: Served) -> None:
    refused = httpx.patch(f"{served.url}/v1/endpoints/cars", json={}, headers=served.headers())
    problem(refused, 409, "in_file")
    assert "TANDEM_ENDPOINTS" in refused.json()["detail"]


def test_the_command_of_azure_changes_the_traffic(served: Served) -> None:
    done = served.command("online-endpoint", "update", "-n", "words", "--traffic", "green=100", "-g", "x", "-w", "y")
    assert done.returncode == 0, done.stderr
    eventually(lambda: ask(served, "words").headers[WHO] == "green")
    done = served.command("online-endpoint", "update", "-n", "words", "--traffic", "green=99")
    assert (done.returncode, "add up to 99" in done.stderr) == (1, True)
    assert served.command("online-endpoint", "update", "-n", "words", "--traffic", "blue=100").returncode == 0
    eventually(lambda: ask(served, "words").headers[WHO] == "blue")
    shown = served.command("online-endpoint", "show", "-n", "words", "--query", "scoring_uri", "-o", "tsv").stdout
    assert served.score("", {}, path=shown.strip().removeprefix(served.url)).json() == "1"


def test_changes_of_traffic_at_full_load_lose_no_request_and_none_goes_to_who_has_no_weight(served: Served) -> None:
    """The one that had all the traffic has none after each change. What is in flight then keeps its deployment."""
    answers: list[tuple[int, int, str]] = []
    stop = threading.Event()
    turn = [0]

    def load(number: int) -> None:
        with httpx.Client(headers=served.headers()) as client:
            count = 0
            while not stop.is_set():
                began = turn[0]
                reply = client.post(
                    f"{served.url}/endpoints/words/invocations",
                    json={"instances": []},
                    headers={"x-request-id": f"load-{number}-{count}"},
                )
                answers.append((began, reply.status_code, reply.headers.get(WHO, "")))
                count += 1

    threads = [threading.Thread(target=load, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    expected = {0: {"blue", "green"}}
    try:
        for change in range(1, 6):
            to, away = ("green", "blue") if change % 2 else ("blue", "green")
            turn[0] = -1
            served.shift("words", f"{to}: 100, {away}: 0")
            turn[0], expected[change] = change, {to}
            enough = len(answers) + 10
            eventually(lambda enough=enough: len(answers) > enough)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for _, status, _ in answers} == {200}
    assert len(answers) > 50
    for change, deployments in expected.items():
        assert {who for began, _, who in answers if began == change} <= deployments
