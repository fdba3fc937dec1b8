"""The scoring route over real HTTP: what a caller gets, and what every kind of bad request is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from tests.harness.tandem import Tandem, run_r

CAR = {"wt": 2.6, "hp": 110, "cyl": "6"}
FLOWER = {"Sepal.Length": 6.1, "Sepal.Width": 2.8, "Petal.Length": 4.7, "Petal.Width": 1.2}


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """A server that takes small bodies only, with models that warn, fail, are slow, or refuse NA."""
    server = Tandem(tmp_path_factory.mktemp("special"), max_body_mb="0.01")
    server.drop("trees", "randomForest::randomForest(cars['speed'], cars$dist, ntree = 5)")
    server.drop("cars", "lm(dist ~ speed, cars)")
    for name, body in (
        ("picky", "if (any(x > 100)) stop('secret: ', x) else x"),
        ("wary", "{if (any(x > 100)) warning('far out'); x}"),
        ("slow", "{Sys.sleep(0.3); x}"),
    ):
        server.drop(name, f"local({{f <- function(x) {body}; lm(dist ~ f(speed), cars)}})")
    yield server.start()
    assert server.stop() == 0


def problem(reply: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of a reply, after checking its form."""
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json"), reply.text
    document = reply.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["request_id"] == reply.headers["x-request-id"]
    assert {"type", "title", "detail"} <= set(document)
    return dict(document)


def predicted_by_r(model: str, frame: str, more: str = "") -> list[Any]:
    """What plain R's predict() says, with all digits."""
    code = f"""
      library(randomForest); library(rpart)
      m <- readRDS(commandArgs(TRUE)); p <- predict(m, {frame}{more})
      cat(if (is.numeric(p)) sprintf('%a', p) else as.character(p), sep = '\\n')
    """
    return run_r(code, f"r_models/{model}.rds").split()


def test_an_answer_is_what_predict_says_to_the_last_bit(tandem: Tandem) -> None:
    rows = [CAR, {"wt": 3.44, "hp": 175, "cyl": "8"}, {"wt": 1.0 / 3, "hp": 0.1, "cyl": "4"}]
    frame = "data.frame(wt=c(2.6,3.44,1/3), hp=c(110,175,0.1), cyl=factor(c('6','8','4'), levels=c('4','6','8')))"
    reply = tandem.score("mpg", {"rows": rows})
    assert reply.status_code == 200
    assert reply.json()["predictions"] == [float.fromhex(p) for p in predicted_by_r("mpg", frame)]


def test_rows_and_columns_give_the_same_answer(tandem: Tandem) -> None:
    rows = tandem.score("mpg", {"rows": [CAR, CAR]}).json()
    columns = tandem.score("mpg", {"columns": {name: [value] * 2 for name, value in CAR.items()}}).json()
    assert rows == columns
    assert set(rows) == {"model", "version", "predictions"}


def test_outputs_are_asked_for_by_name(tandem: Tandem) -> None:
    assert tandem.score("iris", {"rows": [FLOWER]}).json()["predictions"] == ["versicolor"]
    [probabilities] = tandem.score("iris", {"rows": [FLOWER], "output": "prob"}).json()["predictions"]
    assert list(probabilities) == ["setosa", "versicolor", "virginica"]
    assert sum(probabilities.values()) == pytest.approx(1)


def test_a_version_can_be_named(tandem: Tandem) -> None:
    version = tandem.model("mpg")["version"]
    reply = tandem.score("mpg", {"rows": [CAR]}, path=f"/v1/models/mpg/versions/{version}/score")
    assert reply.json()["version"] == version


def test_na_and_the_special_numbers_go_both_ways(tandem: Tandem) -> None:
    rows = [CAR | {"wt": None}, CAR | {"wt": "NaN"}, CAR | {"wt": "Inf"}, CAR | {"wt": "-Inf"}]
    assert tandem.score("mpg", {"rows": rows}).json()["predictions"] == [None, "NaN", "-Inf", "Inf"]


def test_an_unknown_column_is_ignored_with_a_warning(tandem: Tandem) -> None:
    reply = tandem.score("mpg", {"rows": [CAR | {"colour": "red"}]})
    assert reply.status_code == 200
    [warning] = reply.json()["warnings"]
    assert '"colour"' in warning


def test_replies_carry_request_id_and_times(tandem: Tandem) -> None:
    reply = tandem.score("mpg", {"rows": [CAR]}, headers={"x-request-id": "mine-1"})
    assert reply.headers["x-request-id"] == "mine-1"
    times = dict(part.strip().split(";dur=") for part in reply.headers["server-timing"].split(","))
    assert list(times) == ["queue", "decode", "predict", "encode"]
    assert all(float(ms) >= 0 for ms in times.values())
    for unfit in ("x" * 101, "a b", ""):
        assert tandem.score("mpg", {"rows": [CAR]}, headers={"x-request-id": unfit}).headers["x-request-id"] != unfit
    assert "server" not in reply.headers


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"", 400, "bad_body", id="empty"),
        pytest.param(b"{", 400, "bad_body", id="not-json"),
        pytest.param(b"\xff\xfe", 400, "bad_body", id="not-utf-8"),
        pytest.param(b"[" * 5000, 400, "bad_body", id="nested-deep"),
        pytest.param(b'{"rows":[{"wt":NaN,"hp":1,"cyl":"4"}]}', 400, "bad_body", id="bare-nan"),
        pytest.param(b"[]", 422, "invalid_input", id="an-array"),
        pytest.param(b'"text"', 422, "invalid_input", id="a-string"),
        pytest.param({}, 422, "invalid_input", id="neither-rows-nor-columns"),
        pytest.param({"rows": [CAR], "columns": {}}, 422, "invalid_input", id="both-rows-and-columns"),
        pytest.param({"rows": [CAR], "row": 1}, 422, "invalid_input", id="unknown-member"),
        pytest.param({"rows": []}, 422, "invalid_input", id="zero-rows"),
        pytest.param({"columns": {"wt": [], "hp": [], "cyl": []}}, 422, "invalid_input", id="zero-rows-in-columns"),
        pytest.param({"rows": {}}, 422, "invalid_input", id="rows-not-an-array"),
        pytest.param({"rows": [1]}, 422, "invalid_input", id="a-row-not-an-object"),
        pytest.param({"columns": []}, 422, "invalid_input", id="columns-not-an-object"),
        pytest.param({"columns": {"wt": 1, "hp": [1], "cyl": ["4"]}}, 422, "invalid_input", id="a-column-not-an-array"),
        pytest.param({"rows": [CAR], "output": "magic"}, 422, "invalid_input", id="unknown-output"),
        pytest.param({"rows": [CAR], "output": 1}, 422, "invalid_input", id="output-not-a-string"),
    ],
)
def test_a_bad_body_is_refused(tandem: Tandem, body: object, status: int, code: str) -> None:
    problem(tandem.score("mpg", body), status, code)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        pytest.param(
            {"rows": [CAR, {"wt": 1, "cyl": "4"}]}, {"row": 1, "column": "hp", "got": "nothing"}, id="missing"
        ),
        pytest.param(
            {"rows": [CAR, CAR | {"hp": "many"}]}, {"row": 1, "column": "hp", "expected": "a number"}, id="text"
        ),
        pytest.param({"rows": [CAR | {"hp": True}]}, {"row": 0, "column": "hp", "got": "true"}, id="boolean"),
        pytest.param({"rows": [CAR | {"hp": [1]}]}, {"row": 0, "column": "hp", "got": "an array"}, id="nested"),
        pytest.param({"rows": [CAR | {"hp": 2**53 + 1}]}, {"row": 0, "column": "hp"}, id="beyond-2^53"),
        pytest.param(
            {"rows": [CAR | {"cyl": "5"}]},
            {"row": 0, "column": "cyl", "expected": 'one of "4", "6", "8"', "got": 'the string "5"'},
            id="unknown-level",
        ),
        pytest.param({"columns": {"wt": [1], "hp": [1, 2], "cyl": ["4", "4"]}}, {"column": "wt"}, id="ragged"),
        pytest.param({"columns": {"wt": [1], "hp": [1]}}, {"column": "cyl", "got": "nothing"}, id="missing-column"),
        pytest.param(
            b'{"rows":[{"wt":1,"hp":1,"hp":2,"cyl":"4"}]}', {"column": "hp", "got": "the same name twice"}, id="twice"
        ),
        pytest.param(
            b'{"columns":{"wt":[1],"hp":[1],"wt":[2],"cyl":["4"]}}',
            {"column": "wt", "got": "the same name twice"},
            id="column-twice",
        ),
    ],
)
def test_a_body_that_does_not_fit_is_told_where_and_why(tandem: Tandem, body: object, fault: dict[str, Any]) -> None:
    [told, *_] = problem(tandem.score("mpg", body), 422, "invalid_input")["errors"]
    assert set(told) == {"row", "column", "expected", "got", "hint"}
    assert told == told | fault


def test_na_is_refused_where_the_model_cannot_take_it(special: Tandem) -> None:
    [fault] = problem(special.score("trees", {"rows": [{"speed": None}]}), 422, "invalid_input")["errors"]
    assert (fault["row"], fault["column"], fault["got"]) == (0, "speed", "null")


def test_a_bad_request_in_a_batch_leaves_the_others_alone(tandem: Tandem) -> None:
    """Sent at once on many connections, so that they share batches."""
    good, bad = orjson.dumps({"rows": [CAR]}), orjson.dumps({"rows": [CAR | {"hp": "x"}]})
    head = (
        "POST /v1/models/mpg/score HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {tandem.token()}\r\ncontent-length: "
    ).encode()
    sockets = []
    for i in range(32):
        body = bad if i % 4 == 3 else good
        connection = socket.create_connection(("127.0.0.1", tandem.port), timeout=20)
        connection.sendall(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        sockets.append(connection)
    answers = [_all_of(connection) for connection in sockets]
    assert [a.split(b" ", 2)[1] for a in answers] == [b"422" if i % 4 == 3 else b"200" for i in range(32)]
    assert len({a.rpartition(b"\r\n\r\n")[2] for a in answers if b" 200 " in a[:20]}) == 1


def _all_of(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_routes_and_methods_and_media_types(tandem: Tandem) -> None:
    body = {"rows": [CAR]}
    problem(tandem.score("nothing", body), 404, "unknown_model")
    problem(tandem.score("mpg", body, path="/v1/models/mpg/versions/0/score"), 404, "unknown_model")
    problem(tandem.score("mpg", body, headers={"content-type": "text/plain"}), 415, "unsupported_media_type")
    problem(tandem.score("mpg", body, headers={"content-encoding": "br"}), 415, "unsupported_encoding")
    assert tandem.score("mpg", body, headers={"content-type": "application/json; charset=utf-8"}).status_code == 200
    refused = tandem.get("/v1/models/mpg/score")
    problem(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"


def test_a_body_over_the_limit_is_refused_declared_or_not(special: Tandem) -> None:
    server = special
    large = b'{"rows":[' + b" " * 20_000 + b"]}"
    problem(server.score("cars", large), 413, "body_too_large")
    url = f"{server.url}/v1/models/cars/score"
    headers = server.headers() | {"content-type": "application/json"}
    undeclared = httpx.post(url, content=iter([large[:9000], large[9000:]]), headers=headers)
    problem(undeclared, 413, "body_too_large")
    assert server.score("cars", {"rows": [{"speed": 1}]}).status_code == 200


def test_tokens_that_are_absent_or_forged_are_refused_before_anything_else(tandem: Tandem) -> None:
    for path in ("/v1/models/mpg/score", "/v1/models/nothing/score"):
        for value in (None, "Bearer", "Bearer x.y.z", "Basic YTpi", f"Bearer {tandem.token()[:-2]}"):
            headers = {} if value is None else {"authorization": value}
            refused = tandem.score("mpg", b"", user=None, path=path, headers=headers)
            problem(refused, 401, "unauthenticated")
            assert refused.headers["www-authenticate"] == "Bearer"


def test_a_removed_account_is_refused_within_seconds(tandem: Tandem) -> None:
    from tests.harness.tandem import eventually

    assert tandem.command("users", "add", "leaver", text="long enough\n").returncode == 0
    assert tandem.score("mpg", {"rows": [CAR]}, user="leaver").status_code == 200
    assert tandem.command("users", "remove", "leaver").returncode == 0
    eventually(lambda: tandem.score("mpg", {"rows": [CAR]}, user="leaver").status_code == 401, 5)


def test_only_who_may_see_details_is_told_the_models_own_words(special: Tandem) -> None:
    server = special
    for user, role in (("s", "scorer"), ("a", "analyst")):
        assert server.command("users", "add", user, "--role", role, text="long enough\n").returncode == 0
    body = {"rows": [{"speed": 101}]}
    told = problem(server.score("picky", body, user="a"), 500, "model_failed")
    assert "secret: 101" in told["model_message"]
    kept = server.score("picky", body, user="s")
    problem(kept, 500, "model_failed")
    assert "secret" not in kept.text
    assert server.score("picky", {"rows": [{"speed": 10}]}).status_code == 200


def test_warnings_of_the_model_come_back(special: Tandem) -> None:
    assert special.score("wary", {"rows": [{"speed": 101}]}).json()["warnings"] == ["far out"]
    assert "warnings" not in special.score("wary", {"rows": [{"speed": 10}]}).json()


def test_a_caller_may_wait_for_less_long_than_the_server(special: Tandem) -> None:
    body = {"rows": [{"speed": 10}]}
    for name in ("x-request-timeout-ms", "x-envoy-expected-rq-timeout-ms"):
        problem(special.score("slow", body, headers={name: "50"}), 504, "deadline_exceeded")
        assert special.score("slow", body, headers={name: "9999999999"}).status_code == 200


@pytest.mark.parametrize("said", ["0", "-1", "1.5", "soon", "", "99999999999"])
def test_a_timeout_that_is_no_number_of_milliseconds_is_refused(tandem: Tandem, said: str) -> None:
    reply = tandem.score("mpg", {"rows": [CAR]}, headers={"x-request-timeout-ms": said})
    assert "milliseconds" in problem(reply, 400, "bad_request")["detail"]
