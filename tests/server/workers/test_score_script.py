"""Answering requests to a script: each alone, as text, whatever becomes of its neighbours."""

from __future__ import annotations

import gzip
import json
from typing import Any

import orjson
import pytest

from server.wire.frames import BodyFormat, Encoding, Member, ReplyCode
from server.wire.schema import Schema
from server.workers.azureml_script import Call, caller
from server.workers.errors import NotJson, ScriptFailed
from server.workers.score_script import score


class Parrot:
    """A script in pure Python: gives back its text, cannot bear "fail", and cannot say "set"."""

    name = "parrot"
    version = "v1"
    schema = Schema((), (), raw=True)

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.called = caller(lambda text: text)

    def run(self, call: Call, request_id: str) -> Any:
        text = call()
        self.calls.append((text, request_id))
        if text == "fail":
            raise ScriptFailed("it hurts")
        return text

    def reply(self, value: Any) -> bytes:
        if value == "set":
            raise NotJson("run() returned a set")
        return json.dumps(value).encode()


def test_each_request_is_a_call_of_its_own_with_its_text_and_its_id() -> None:
    model = Parrot()
    members = [Member(b"one", request_id=b"id-1"), Member("zwei, zwölf".encode(), BodyFormat.CSV), Member(b"")]
    reply = score(model, members)
    assert model.calls == [("one", "id-1"), ("zwei, zwölf", ""), ("", "")]
    assert [orjson.loads(result.body) for result in reply.results] == ["one", "zwei, zwölf", ""]
    assert [(result.code, result.rows) for result in reply.results] == [(ReplyCode.OK, 1)] * 3


def test_a_fault_stays_with_the_request_that_has_it() -> None:
    members = [Member(b"one"), Member(b"\xff"), Member(b"fail"), Member(b"set"), Member(b"two")]
    results = score(Parrot(), members).results
    assert [result.code for result in results] == [
        ReplyCode.OK,
        ReplyCode.BAD_BODY,
        ReplyCode.MODEL_FAILED,
        ReplyCode.MODEL_FAILED,
        ReplyCode.OK,
    ]
    assert [orjson.loads(result.body) for result in results[1:4]] == [
        {"detail": "the body is not text in UTF-8 (byte 0)"},
        {"detail": "the script failed", "model_message": "it hurts"},
        {"detail": "run() returned a set"},
    ]


def test_a_failure_is_logged_under_the_requests_id(caplog: pytest.LogCaptureFixture) -> None:
    score(Parrot(), [Member(b"fail", request_id=b"id-7")])
    [record] = caplog.records
    assert (record.__dict__["model"], record.__dict__["request_id"]) == ("parrot", "id-7")
    assert record.__dict__["reason"] == "it hurts"


def test_a_large_or_compressed_body_is_text_too() -> None:
    model = Parrot()
    large = b"x" * 100_000
    members = [Member(memoryview(large)), Member(gzip.compress(large), encoding=Encoding.GZIP)]
    assert [r.code for r in score(model, members).results] == [ReplyCode.OK] * 2
    assert [text for text, _ in model.calls] == [large.decode()] * 2
    assert score(model, members[1:], 1000).results[0].code == ReplyCode.TOO_LARGE


def test_the_times_are_told() -> None:
    reply = score(Parrot(), [Member(b"x")])
    assert min(reply.decode_s, reply.predict_s, reply.encode_s) > 0
