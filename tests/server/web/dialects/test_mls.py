"""Machine Learning Server's contract over real HTTP: its sign-in, its services, the native answers in its form."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from auth.tokens import LIFETIME_S
from tests.harness.tandem import Tandem, eventually
from tests.server.web.dialects.test_open_inference import CARS, FLOWERS, native, post

JSON = {"content-type": "application/json"}


def address(server: Tandem, model: str) -> str:
    return f"/api/{model}/{server.model(model)['version']}"


def ask(server: Tandem, body: Any, model: str = "mpg", **more: Any) -> httpx.Response:
    return post(server, address(server, model), body, headers=JSON | more.pop("headers", {}), **more)


def outputs(reply: httpx.Response) -> Any:
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json"), reply.text
    told = reply.json()
    assert (told["success"], told["errorMessage"], told["changedFiles"], told["outputFiles"]) == (True, "", [], {})
    return told.get("outputParameters", told.get("outputData"))


def refused(reply: httpx.Response, status: int, code: str) -> str:
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json"), reply.text
    told = reply.json()
    assert (told.keys(), told["link"], told["exceptionType"]) == ({"message", "link", "exceptionType"}, "", code)
    assert reply.headers["x-tandem-code"] == code
    return str(told["message"])


# Signing in


def login(server: Tandem, **sent: str) -> httpx.Response:
    return httpx.post(f"{server.url}/login", json=sent)


def password(server: Tandem) -> str:
    return (server.folder / "data/admin-password").read_text().strip()


def test_signing_in_staying_signed_in_and_signing_out(server: Tandem) -> None:
    reply = login(server, username="admin", password=password(server))
    assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-store")
    first = reply.json()
    assert (first["token_type"], first["expires_in"]) == ("Bearer", LIFETIME_S)
    assert isinstance(first["expires_on"], str) and first["expires_on"].isdigit()
    renewed = httpx.post(f"{server.url}/login/refreshToken", json={"refreshToken": first["refresh_token"]}).json()
    assert renewed.keys() == first.keys() and renewed["refresh_token"] != first["refresh_token"]
    signed = {"authorization": f"Bearer {renewed['access_token']}"}
    assert httpx.get(f"{server.url}/services", headers=signed).status_code == 200
    gone = httpx.delete(f"{server.url}/login/refreshToken", params={"refreshToken": renewed["refresh_token"]})
    assert (gone.status_code, gone.json()) == (200, {})
    assert httpx.get(f"{server.url}/services", headers=signed).status_code == 401
    spent = httpx.post(f"{server.url}/login/refreshToken", json={"refreshToken": renewed["refresh_token"]})
    refused(spent, 401, "unauthenticated")


def test_who_guesses_at_a_password_is_refused_then_kept_waiting_and_noted_as_by_our_own_sign_in(
    server: Tandem,
) -> None:
    added = server.command("users", "add", "guessed", text="long enough\n")
    assert added.returncode == 0, added.stderr
    throttled = server.metric("tandem_auth_failures_total", reason="throttled")
    assert "not valid" in refused(login(server, username="guessed", password="wrong"), 401, "unauthenticated")
    while (reply := login(server, username="guessed", password="wrong")).status_code == 401:
        pass
    refused(reply, 429, "too_many_attempts")
    assert int(reply.headers["retry-after"]) >= 1
    form = {"grant_type": "password", "username": "guessed", "password": "long enough"}
    assert httpx.post(f"{server.url}/auth/token", data=form).status_code == 429  # they are counted together
    assert login(server, username="admin", password=password(server)).status_code == 200
    last = server.get("/auth/audit", params={"action": "signed_in", "limit": 200}).json()[-1]
    assert (last["target"], last["via"], last["address"]) == ("admin", "password", "127.0.0.1")
    eventually(lambda: server.metric("tandem_auth_failures_total", reason="throttled") > throttled)


@pytest.mark.parametrize("sent", [{}, {"username": "admin"}, {"username": 1, "password": "x"}])
def test_a_sign_in_that_does_not_fit_is_400_and_tells_no_value(server: Tandem, sent: dict[str, Any]) -> None:
    assert "admin" not in refused(login(server, **sent), 400, "invalid_input")


# Services


def test_services_are_the_versions_of_models_with_what_they_take_and_give(server: Tandem) -> None:
    names = [service["name"] for service in server.get("/services").json()]
    assert names == sorted(["mpg", "iris", "ahead", "dated", "digits", "iris_logistic", "graph", "echo", "whole"])
    version = server.model("mpg")["version"]
    for path in ("/services/mpg", f"/services/mpg/{version}"):
        [mpg] = server.get(path).json()
        assert None not in mpg.values()
    assert (mpg["name"], mpg["version"], mpg["runtimeType"], mpg["operationId"]) == ("mpg", version, "R", "consume")
    assert mpg["inputParameterDefinitions"] == [
        {"name": "wt", "type": "numeric"},
        {"name": "hp", "type": "numeric"},
        {"name": "cyl", "type": "character"},
    ]
    assert mpg["outputParameterDefinitions"] == [{"name": "response", "type": "numeric"}]
    [ahead] = server.get("/services/ahead").json()
    assert {"name": "h", "type": "integer"} in ahead["inputParameterDefinitions"]
    refused(server.get("/services/none"), 404, "not_found")
    refused(server.get("/services/mpg/none"), 404, "not_found")
    refused(httpx.get(f"{server.url}/services"), 401, "unauthenticated")


def test_what_a_sidecar_calls_a_service_is_what_its_clients_see(server: Tandem) -> None:
    [dated] = server.get("/services/dated").json()
    assert (dated["operationId"], dated["outputParameterDefinitions"][0]["name"]) == ("foresee", "answer")
    day = {"day": "2026-02-01", "weekend": True, "count": 3}
    assert outputs(ask(server, day, "dated")) == {"answer": native(server, "dated", [day])[0]}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/services/mpg/v2"),
        ("PATCH", "/services/mpg/v2"),
        ("DELETE", "/services/mpg/v2"),
        ("POST", "/sessions"),
    ],
)
def test_what_would_change_what_is_served_is_501(server: Tandem, method: str, path: str) -> None:
    reply = httpx.request(method, server.url + path, headers=server.headers(), json={})
    assert "model folder" in refused(reply, 501, "not_implemented")


# Scoring


def test_values_lists_and_frames_get_the_native_predictions(server: Tandem) -> None:
    expected = native(server, "mpg", CARS)
    assert outputs(ask(server, CARS[0])) == {"response": expected[0]}
    lists = {name: [row[name] for row in CARS] for name in CARS[0]}
    assert outputs(ask(server, lists)) == {"response": expected}
    assert outputs(ask(server, {"inputData": lists})) == {"response": expected}
    assert outputs(ask(server, CARS[2])) == {"response": None}


def test_models_of_every_kind(server: Tandem) -> None:
    ahead = outputs(ask(server, {"h": 3}, "ahead"))
    [name] = ahead
    assert ahead[name] == server.score("ahead", {"options": {"h": 3}}).json()["predictions"]
    assert outputs(ask(server, FLOWERS[0], "iris")) == {"class": native(server, "iris", FLOWERS[:1])[0]}
    for model in ("graph", "iris_logistic"):
        names = [i["name"] for i in server.model(model)["versions"][0]["schema"]["inputs"]]
        row = dict(zip(names, FLOWERS[0].values(), strict=True))
        [value] = outputs(ask(server, row, model)).values()
        assert value == native(server, model, [row])[0]
    assert outputs(ask(server, {"a": 1}, "echo")) == {"result": {"got": {"a": 1}}}


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        (b"{", "bad_body", "not JSON"),
        ([], "bad_body", "object"),
        ({"wt": 1, "hp": 2}, "invalid_input", 'column "cyl"'),
        ({"wt": 1, "hp": 2, "cyl": "5"}, "invalid_input", 'column "cyl", row 0'),
        ({"wt": [1, 2], "hp": 2, "cyl": "4"}, "invalid_input", "different lengths"),
    ],
)
def test_bad_bodies_are_400(server: Tandem, body: Any, code: str, told: str) -> None:
    assert told in refused(ask(server, body), 400, code)


def test_each_stage_tells_what_went_wrong_in_one_form(server: Tandem) -> None:
    path = address(server, "mpg")
    refused(ask(server, CARS[0], user=None), 401, "unauthenticated")
    refused(post(server, "/api/none/v1", CARS[0], headers=JSON), 404, "unknown_model")
    refused(post(server, "/api/mpg/none", CARS[0], headers=JSON), 404, "unknown_model")
    refused(httpx.get(server.url + path, headers=server.headers()), 405, "method_not_allowed")
    refused(ask(server, CARS[0], headers={"content-type": "text/csv"}), 415, "unsupported_media_type")
    refused(ask(server, CARS[0], headers={"content-encoding": "br"}), 415, "unsupported_encoding")
    refused(ask(server, b" " * ((2 << 20) + 1)), 413, "body_too_large")
    refused(ask(server, b"no JSON", "echo"), 500, "model_failed")


def test_what_belongs_to_mlflow_and_to_the_console_is_left_to_them(server: Tandem) -> None:
    mlflow = post(server, "/api/2.0/endpoints", {}, headers=JSON)
    assert (mlflow.status_code, "error_code" in mlflow.json()) == (405, True)
    assert refused(httpx.get(f"{server.url}/login"), 405, "method_not_allowed")
    assert "text/html" in httpx.get(server.url, headers={"accept": "text/html"}).headers["content-type"]
