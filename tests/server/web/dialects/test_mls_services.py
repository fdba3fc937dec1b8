"""What Machine Learning Server tells of a service and of itself: Swagger documents, pools, status."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.harness.tandem import Tandem, eventually
from tests.server.web.dialects.test_mls import address, refused
from tests.server.web.dialects.test_open_inference import CARS


def document(server: Tandem, model: str, **headers: str) -> dict[str, Any]:
    reply = server.get(f"{address(server, model)}/swagger.json", headers=headers)
    assert reply.status_code == 200
    return dict(reply.json())


def test_a_document_has_the_operations_of_a_service_at_the_address_that_was_asked(server: Tandem) -> None:
    told, path = document(server, "mpg"), address(server, "mpg")
    assert (told["swagger"], told["host"], told["basePath"], told["schemes"]) == (
        *("2.0", f"127.0.0.1:{server.port}", "/"),
        ["http"],
    )
    operations = {o["operationId"]: (method, at) for at, ways in told["paths"].items() for method, o in ways.items()}
    assert operations == {
        "consume": ("post", path),
        "startBatchExecution": ("post", f"{path}/batch"),
        "getBatchExecutions": ("get", f"{path}/batch"),
        "getBatchExecutionStatus": ("get", f"{path}/batch/{{executionId}}"),
        "cancelBatchExecution": ("delete", f"{path}/batch/{{executionId}}"),
    }
    assert document(server, "dated")["paths"][address(server, "dated")]["post"]["operationId"] == "foresee"


def test_types_of_values_lists_and_frames_are_told(server: Tandem) -> None:
    number, text = {"type": "number", "format": "double", "x-nullable": True}, {"type": "string", "x-nullable": True}
    told = document(server, "mpg")["definitions"]
    frame = told["InputParameters"]["properties"].pop("inputData")["properties"]
    assert told["InputParameters"]["properties"] == {"wt": number, "hp": number, "cyl": text}
    assert frame == {
        name: {"type": "array", "items": one} for name, one in {"wt": number, "hp": number, "cyl": text}.items()
    }
    assert told["OutputParameters"]["properties"] == {"response": number}
    dated = document(server, "dated")["definitions"]["InputParameters"]["properties"]
    assert [dated[name]["type"] for name in ("day", "weekend", "count")] == ["string", "boolean", "number"]
    ahead = document(server, "ahead")["definitions"]
    assert ahead["InputParameters"]["properties"]["h"]["type"] == "integer"
    [forecast] = ahead["OutputParameters"]["properties"].values()
    assert (forecast["type"], forecast["items"]["type"]) == ("array", "number")
    assert document(server, "echo")["definitions"]["InputParameters"]["type"] == "object"
    assert document(server, "iris")["definitions"]["OutputParameters"]["properties"] == {"class": text}


def test_behind_a_proxy_that_is_trusted_the_document_has_its_address(server: Tandem) -> None:
    told = document(
        server, "mpg", host="models.example", **{"x-forwarded-prefix": "/tandem/", "x-forwarded-proto": "https"}
    )
    assert (told["host"], told["basePath"], told["schemes"]) == ("models.example", "/tandem", ["https"])
    for wrong in ("tandem", "/a b", "//evil.example", "/a?b"):
        assert document(server, "mpg", **{"x-forwarded-prefix": wrong})["basePath"] == "/"


def test_a_document_is_for_who_may_see_the_model(server: Tandem) -> None:
    path = f"{address(server, 'mpg')}/swagger.json"
    refused(httpx.get(server.url + path), 401, "unauthenticated")
    refused(server.get("/api/mpg/none/swagger.json"), 404, "not_found")


def test_a_pool_tells_what_its_workers_are_at(server: Tandem) -> None:
    server.score("mpg", {"rows": CARS[:1]})
    path = f"/services/mpg/{server.model('mpg')['version']}/pool"

    def counted() -> dict[str, Any] | None:
        [node] = server.get(path).json()
        return dict(node) if node["AnsweredRequests"] else None

    node = eventually(counted)
    assert (node["ComputeNodeEndpoint"], node["Status"]) == (server.url, "Success")
    assert (node["Workers"], node["BusyWorkers"], node["WaitingRequests"]) == (2, 0, 0)  # one is spare
    assert node.keys() >= {"FailedRequests", "PredictMilliseconds"}
    assert "setting" in refused(
        httpx.post(server.url + path, headers=server.headers(), json={}), 501, "not_implemented"
    )
    refused(httpx.delete(server.url + path, headers=server.headers()), 501, "not_implemented")
    refused(server.get("/services/mpg/none/pool"), 404, "not_found")


def test_status_tells_of_every_pool_and_details_only_to_who_may_see_them(server: Tandem) -> None:
    told = server.get("/status").json()
    assert (told["statusCode"], told["details"]) == ("pass", {})
    assert told["components"]["r"] == {"statusCode": "pass", "details": {"workers": 2}}
    assert server.command("users", "add", "plainly", text="long enough\n").returncode == 0
    plain = server.get("/status", "plainly").json()
    assert plain["components"]["r"] == {"statusCode": "pass", "details": {}}
    refused(httpx.get(f"{server.url}/status"), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sessions/an-id/execute"),
        ("DELETE", "/sessions/an-id/force"),
        ("GET", "/snapshots/an-id"),
        ("GET", "/computenodes/an-id/logs"),
        ("PATCH", "/realtime-services/mpg/v1"),
    ],
)
def test_what_is_not_there_is_501_in_the_servers_form(server: Tandem, method: str, path: str) -> None:
    reply = httpx.request(method, server.url + path, headers=server.headers())
    refused(reply, 501, "not_implemented")
