"""What run() is called with and what becomes of its answers, for scripts that Azure's contract knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema

from server.wire import heads
from server.wire.frames import BodyFormat, Member, ReplyCode
from server.wire.heads import RequestHead
from server.wire.schema import Schema
from server.workers.azureml_script import Call, ScriptRequest, caller
from server.workers.errors import BadBody, LoadFailed, ScriptFailed, UnsupportedType
from server.workers.score_script import score
from server.workers.script.azureml_http import AMLResponse, request_of
from server.workers.script.reply import encoded
from server.workers.script.runtime import ScriptModel

JSON = RequestHead("POST", "", {"content-type": "application/json", "x-ms-one": "1"})


def called(run: Any, body: bytes = b"", head: RequestHead | None = JSON) -> Any:
    call = caller(run)(ScriptRequest(body) if head is None else ScriptRequest(body, head, azure=True))
    return call() if call is not None else None


def test_run_gets_the_text_and_the_headers_by_the_names_that_it_has_for_them() -> None:
    assert called(lambda data: data, b"a") == "a"
    assert called(lambda whatever, request_headers: (whatever, request_headers["X-Ms-One"]), b"a") == ("a", "1")
    assert called(lambda request_headers, data: (data, request_headers["X-Ms-One"]), b"a") == ("a", "1")
    assert called(lambda data, more=2: (data, more), b"a") == ("a", 2)
    assert called(lambda data, request_headers: request_headers, b"a", None) == {"Content-Type": "application/json"}
    assert called(str.upper, b"a") == "A", "one that is written in C"


def test_a_run_that_does_not_take_that_is_refused_before_it_is_called() -> None:
    for run in (lambda: 1, lambda a, b: 1, lambda a, b, request_headers: 1, lambda *, data: 1):
        with pytest.raises(TypeError):
            caller(run)
    with pytest.raises(LoadFailed, match="request_headers alone"):
        caller(lambda request_headers: 1)


def test_the_query_is_what_run_gets_by_get() -> None:
    query = RequestHead("GET", "a=1&b=x&b=2&c=%5B1%5D&d=&" + "e=" + "[" * 5000, {})
    assert orjson.loads(called(lambda data: data, b"", query)) == {
        "a": 1, "b": ["x", 2], "c": [1], "d": "", "e": "[" * 5000,
    }  # fmt: skip


def test_text_that_is_none_is_told_in_the_words_of_who_is_asked() -> None:
    with pytest.raises(BadBody, match="Input cannot be decoded as UTF-8: 'utf-8' codec can't decode byte 0xff"):
        called(lambda data: data, b"\xff")
    with pytest.raises(BadBody, match=r"the body is not text in UTF-8 \(byte 0\)"):
        called(lambda data: data, b"\xff", None)


class Script:
    """A loaded script, as workers call it."""

    name, version, schema = "s", "v", Schema((), (), raw=True)

    def __init__(self, run: Any) -> None:
        self.called = caller(run)

    def run(self, call: Call, request_id: str) -> Any:
        try:
            return call()
        except Exception as e:
            raise ScriptFailed(str(e)) from e

    reply = ScriptModel.reply


def answered(value: Any, **member: Any) -> Any:
    """The one result of a script that returns this, or raises it."""

    def run(data: str) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    head = heads.written_request(b"POST", b"", [])
    forms = {"content": BodyFormat.AZUREML, "accept": BodyFormat.AZUREML, "parameters": head} | member
    [result] = score(Script(run), [Member(b"x", **forms)]).results
    return result


NATIVE = {"content": BodyFormat.JSON, "accept": BodyFormat.JSON, "parameters": b""}


def test_a_response_is_sent_as_it_is_in_azures_dialect() -> None:
    result = answered(AMLResponse(b"\x00", 418, {"X-One": "a, b", "Content-Type": "image/png", "Set-Cookie": "c=d"}))
    status, lines = heads.read_reply(result.notes, len(result.body))
    assert (result.code, result.body, status) == (ReplyCode.OK, b"\x00", 418)
    assert lines.startswith(b"x-one: a\r\nx-one: b\r\ncontent-type: image/png\r\nx-ms-run-function-failed: False\r\n")
    assert b"cookie" not in lines
    broken = answered(AMLResponse("", 200, {"X-One": "€"}))
    assert broken.code == ReplyCode.MODEL_FAILED


@pytest.mark.parametrize(
    ("response", "code", "body"),
    [
        (AMLResponse({"a": 1}, 201, json_str=True), ReplyCode.OK, {"a": 1}),
        (AMLResponse("a page", 200), ReplyCode.OK, "a page"),
        (AMLResponse("not so", 400), ReplyCode.INVALID, {"detail": "not so"}),
        (AMLResponse("sorry", 503), ReplyCode.MODEL_FAILED, None),
        (AMLResponse("{", 200, {"Content-Type": "application/json"}), ReplyCode.MODEL_FAILED, None),
    ],
)
def test_a_response_is_json_in_every_other_dialect(response: Any, code: ReplyCode, body: Any) -> None:
    result = answered(response, **NATIVE)
    assert result.code == code
    assert body is None or orjson.loads(result.body) == body


def test_an_error_is_told_in_azures_sentence_and_natively_in_the_scripts_own() -> None:
    told = {"detail": "An unexpected error occurred in scoring script. Check the logs for more info."}
    assert orjson.loads(answered(ValueError("district")).body) == told
    assert orjson.loads(answered(ValueError("district"), **NATIVE).body)["model_message"] == "district"
    assert "set" in orjson.loads(answered({1, 2}).body)["detail"], "what JSON cannot hold is told as it is"


def test_nothing_is_an_empty_object_in_azures_dialect_alone() -> None:
    assert (answered(None).body, answered(None, **NATIVE).body) == (b"{}", b"null")


def test_a_request_is_shown_as_it_came() -> None:
    head = RequestHead("POST", "a=1&a=2", {"host": "h:1", "content-type": "application/json", "x-y": "z"})
    request = request_of(head, b'{"b": 1}')
    assert (request.method, request.full_path, request.url) == ("POST", "/score?a=1&a=2", "http://h:1/score?a=1&a=2")
    assert (request.args.getlist("a"), request.get_json(), request.headers["X-Y"]) == (["1", "2"], {"b": 1}, "z")
    assert (request.content_length, request.get_data(), encoded(dict(request.headers))) is not None


@input_schema("num", StandardPythonParameterType(1))
@input_schema("table", NumpyParameterType(np.array([[1.0, 2.0]])), optional=True)
def decorated(num: Any, table: Any = None) -> Any:
    return num


RUNS = {"text": lambda data: data, "headers": lambda data, request_headers: request_headers, "names": decorated}
TYPES = st.sampled_from(["application/json", "application/a+json", "text/plain", ""])
BODIES = st.binary(max_size=40) | st.builds(b"%b%b".__mod__, st.tuples(st.just(b"[" * 50_000), st.binary(max_size=3)))


@pytest.mark.parametrize("name", RUNS)
@given(st.sampled_from(["GET", "POST", "OPTIONS"]), st.text(max_size=30), TYPES, BODIES)
def test_whatever_comes_is_a_call_or_a_refusal_that_tells_why(
    name: str, method: str, query: str, kind: str, body: bytes
) -> None:
    request = ScriptRequest(body, RequestHead(method, query, {"content-type": kind}), azure=True)
    try:
        call = caller(RUNS[name])(request)
    except (BadBody, UnsupportedType) as refused:
        assert str(refused)
    else:
        assert (call is None) == (method == "OPTIONS")
