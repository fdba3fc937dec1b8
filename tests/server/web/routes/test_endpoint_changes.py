"""Endpoints changed over HTTP: what is answered is in force in every process, and nobody's request is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness.tandem import Tandem, eventually
from tests.server.web.routes.test_endpoints import SCRIPT, WHO
from tests.server.web.scoring.test_route import problem


class Changing(Tandem):
    """A server whose endpoints are kept beside its accounts."""

    def ask(self, method: str, path: str, body: Any = None, user: str = "admin", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = self.headers(user) | {"content-type": "application/json"} | named
        content = None if body is None else json.dumps(body).encode()  # as it is, where httpx would refuse to send it
        return httpx.request(method, f"{self.url}/v1/endpoints{path}", content=content, headers=given, timeout=60)

    def put(self, path: str, body: Any, **headers: str) -> dict[str, Any]:
        reply = self.ask("PUT", path, body, **headers)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def define(self, name: str, traffic: dict[str, int], **deployments: str) -> None:
        self.put(f"/{name}", {})
        for deployment, model in deployments.items():
            self.put(f"/{name}/deployments/{deployment}", {"model": f"azureml:{model}"})
        reply = self.ask("PATCH", f"/{name}", {"traffic": traffic})
        assert reply.status_code == 200, reply.text


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changing]:
    tandem = Changing(
        tmp_path_factory.mktemp("changing"), python_workers=1, r_workers=1, web_workers=2, endpoint_domain="ml.test"
    )
    for version in ("1", "2"):
        script = tandem.python_models / "echo" / version
        script.mkdir(parents=True)
        (script / "score.py").write_text(SCRIPT.replace("VERSION", version))
    tandem.start()
    yield tandem
    assert tandem.stop() == 0


def asked(served: Tandem, endpoint: str) -> str:
    reply = served.score("", {}, path=f"/endpoints/{endpoint}/score")
    assert reply.status_code == 200, reply.text
    return str(reply.json())


def test_an_endpoint_is_made_asked_changed_and_removed(served: Changing) -> None:
    made = served.put("/cars", {"tags": {"team": "a"}, "instance_type": "x"} | {"auth_mode": "key"})
    assert (made["provisioning_state"], made["tags"], made["deployments"]) == ("Succeeded", {"team": "a"}, [])
    assert made["warnings"] == [
        "endpoint 'cars': 'instance_type' changes nothing: models share the cores of their server, and servers are "
        "scaled as a whole"
    ]
    served.put("/cars/deployments/blue", {"model": "azureml:echo:1"})
    served.put("/cars/deployments/green", {"model": "azureml:echo:2"})
    problem(served.score("", {}, path="/v1/models/cars/score"), 404, "no_traffic")
    changed = served.ask("PATCH", "/cars", {"traffic": {"blue": 100}})
    assert (changed.status_code, changed.json()["traffic"]) == (200, {"blue": 100})
    uri = changed.json()["scoring_uri"]
    assert uri == "https://cars.ml.test/score"
    for host, status in (("cars.ml.test", 200), ("boats.ml.test", 404), ("cars.ml.test.evil", 404)):
        assert served.score("", {}, path="/score", headers={"host": host}).status_code == status
    assert {asked(served, "cars") for _ in range(8)} == {"1"}  # whichever web process answers
    served.ask("PATCH", "/cars", {"traffic": {"green": 100}})
    assert {asked(served, "cars") for _ in range(8)} == {"2"}
    problem(served.ask("DELETE", "/cars/deployments/green"), 409, "has_traffic")
    assert served.ask("DELETE", "/cars/deployments/blue").status_code == 204
    assert [one["name"] for one in served.ask("GET", "/cars/deployments").json()] == ["green"]
    assert served.ask("GET", "/cars/deployments/green").json()["model"] == "azureml:echo:2"
    problem(served.ask("GET", "/cars/deployments/blue"), 404, "not_found")
    assert served.ask("DELETE", "/cars").status_code == 204
    assert served.score("", {}, path="/endpoints/cars/score").status_code == 404
    problem(served.ask("GET", "/cars"), 404, "not_found")


def test_what_breaks_a_rule_is_told_and_changes_nothing(served: Changing) -> None:
    served.define("rules", {"blue": 100}, blue="echo:1")
    before = served.ask("GET", "/rules").json()
    for body, status, code, told in (
        ({"traffic": {"blue": 99}}, 422, "bad_traffic", "the percentages add up to 99"),
        ({"traffic": {"blue": -1}}, 422, "bad_traffic", "'blue' is -1"),
        ({"traffic": {"blue": 33.3}}, 422, "bad_traffic", "'blue' is 33.3"),
        ({"traffic": {"none": 100}}, 422, "bad_traffic", "there is no deployment 'none'; there is blue"),
        ({"inference_config": {}}, 422, "unsupported_field", "a model brings its own scoring code"),
        ({"description": "\ud800"}, 422, "bad_definition", "no Unicode"),
        ({"tags": {"n": 10**400}}, 422, "bad_definition", "too many digits"),
    ):
        refused = served.ask("PATCH", "/rules", body)
        problem(refused, status, code)
        assert told in refused.json()["detail"], refused.text
    problem(served.ask("PATCH", "/nowhere", {}), 404, "not_found")
    problem(served.ask("PUT", "/-bad-", {}), 422, "bad_definition")
    assert served.ask("GET", "/rules").json() == before


def test_of_two_who_change_the_same_the_second_is_told(served: Changing) -> None:
    served.define("both", {"blue": 100}, blue="echo:1")
    seen = served.ask("GET", "/both").headers["etag"]
    assert served.ask("PATCH", "/both", {"description": "one"}, if_match=seen).status_code == 200
    problem(served.ask("PATCH", "/both", {"description": "two"}, if_match=seen), 412, "precondition_failed")
    problem(served.ask("DELETE", "/both/deployments/blue", if_match=seen), 412, "precondition_failed")
    problem(served.ask("PUT", "/both", {}, if_none_match="*"), 412, "precondition_failed")
    now = served.ask("GET", "/both")
    assert (now.json()["description"], now.headers["etag"]) == ("one", f'"{now.json()["revision"]}"')


def test_who_may_change_what_and_the_audit_of_it(served: Changing) -> None:
    for name, role in (("asks", "scorer"), ("publishes", "publisher"), ("some", "none")):
        assert served.command("users", "add", name, "--role", role, text="long enough\n").returncode == 0
    assert served.command("grants", "add", "some", "publisher", "--models", "mine*").returncode == 0
    problem(served.ask("PUT", "/mine", {}, user="asks"), 403, "forbidden")
    assert served.ask("PUT", "/others", {}, user="publishes").status_code == 200
    eventually(lambda: served.ask("PUT", "/mine", {}, user="some").status_code == 200)
    problem(served.ask("DELETE", "/others", user="some"), 404, "not_found")
    foreign = served.ask("PUT", "/mine/deployments/blue", {"model": "azureml:echo:1"}, user="some")
    problem(foreign, 403, "forbidden")
    assert "may not ask themselves" in foreign.json()["detail"]
    assert served.ask("DELETE", "/others", user="publishes").status_code == 204
    rows = served.get("/auth/audit?action=endpoint.removed").json()
    (row,) = [one for one in rows if one["target"] == "others"]
    assert (row["who"], row["outcome"]) == ("publishes", "done")


def test_a_server_takes_no_models_over_http_unless_it_is_told_to(served: Changing) -> None:
    reply = httpx.put(f"{served.url}/v1/models/new/versions/1", content=b"x", headers=served.headers())
    problem(reply, 409, "conflict")
    assert "TANDEM_PUBLISH" in reply.json()["detail"]


def test_what_was_changed_is_there_after_a_start(served: Changing) -> None:
    served.define("kept", {"blue": 100}, blue="echo:1")
    assert served.stop() == 0
    served.start()
    assert asked(served, "kept") == "1"


def test_changes_at_full_load_lose_no_request_and_hold_when_they_are_answered(served: Changing) -> None:
    served.define("loaded", {"blue": 100}, blue="echo:1", green="echo:2")
    answers: list[tuple[int, int, str]] = []
    stop, turn = threading.Event(), [0]

    def load(number: int) -> None:
        with httpx.Client(headers=served.headers()) as client:
            count = 0
            while not stop.is_set():
                began = turn[0]
                url = f"{served.url}/endpoints/loaded/invocations"
                reply = client.post(url, json={}, headers={"x-request-id": f"{number}-{count}"})
                answers.append((began, reply.status_code, reply.headers.get(WHO, "")))
                count += 1

    threads = [threading.Thread(target=load, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    expected = {}
    try:
        for change in range(1, 21):
            to = "green" if change % 2 else "blue"
            turn[0] = -1
            assert served.ask("PATCH", "/loaded", {"traffic": {to: 100}}).status_code == 200
            turn[0], expected[change] = change, to
            enough = len(answers) + 5
            eventually(lambda enough=enough: len(answers) > enough)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for _, status, _ in answers} == {200}
    assert all(who == expected[began] for began, _, who in answers if began in expected)


# Credentials


def by_key(served: Changing, path: str, key: str) -> int:
    return httpx.post(served.url + path, json={}, headers={"authorization": f"Bearer {key}"}, timeout=30).status_code


def test_an_endpoints_keys_are_shown_again_open_it_alone_and_are_replaced_at_once(served: Changing) -> None:
    served.define("keyed", {"blue": 100}, blue="echo:1")
    served.define("other", {"blue": 100}, blue="echo:1")
    reply = served.ask("GET", "/keyed/keys")
    assert (reply.headers["cache-control"], reply.json()) == ("no-store", served.ask("GET", "/keyed/keys").json())
    primary, secondary = (reply.json()[name] for name in ("primaryKey", "secondaryKey"))
    for key in (primary, secondary):
        assert {by_key(served, "/endpoints/keyed/score", key) for _ in range(6)} == {200}
        assert by_key(served, "/endpoints/other/score", key) == 404
        assert by_key(served, "/v1/models/echo/score", key) == 404
        assert served.ask("GET", "/keyed/keys", authorization=f"Bearer {key}").status_code == 403
    new = served.ask("POST", "/keyed/keys/primary").json()
    assert (new["primaryKey"] != primary, new["secondaryKey"]) == (True, secondary)
    assert {by_key(served, "/endpoints/keyed/score", primary) for _ in range(6)} == {401}
    assert {by_key(served, "/endpoints/keyed/score", new["primaryKey"]) for _ in range(6)} == {200}
    served.ask("DELETE", "/keyed")
    assert by_key(served, "/endpoints/keyed/score", new["primaryKey"]) == 401
    told = [row["action"] for row in served.get("/auth/audit?action=endpoint.keys_shown").json()]
    assert len(told) >= 2
    rows = served.get("/auth/audit?action=endpoint.changed").json()
    assert any("keys_replaced" in str(row["more"]) for row in rows if row["target"] == "keyed")
    assert served.ask("GET", "/other/keys").status_code == 200


def test_an_endpoint_of_tokens_gives_one_of_an_hour_and_takes_no_key(served: Changing) -> None:
    served.put("/tokens", {"auth_mode": "aml_token"})
    served.put("/tokens/deployments/blue", {"model": "azureml:echo:1"})
    served.ask("PATCH", "/tokens", {"traffic": {"blue": 100}})
    problem(served.ask("GET", "/tokens/keys"), 409, "conflict")
    given = served.ask("POST", "/tokens/token").json()
    assert set(given) == {"accessToken", "tokenType", "expiryTimeUtc", "refreshAfterTimeUtc"}
    assert {by_key(served, "/endpoints/tokens/score", given["accessToken"]) for _ in range(6)} == {200}
    assert by_key(served, "/endpoints/other/score", given["accessToken"]) == 404
    served.ask("PATCH", "/tokens", {"auth_mode": "key"})
    problem(served.ask("POST", "/tokens/token"), 409, "conflict")
    problem(served.ask("PATCH", "/tokens", {"auth_mode": "aad_token"}), 422, "bad_definition")
    assert by_key(served, "/endpoints/tokens/score", served.ask("GET", "/tokens/keys").json()["primaryKey"]) == 200
