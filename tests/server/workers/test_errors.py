"""Every kind of request error says what it becomes; the codes of refused files are a closed set."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import orjson
import pytest

from server.dispatch.replies import check
from server.wire.frames import ReplyCode, ReplyPayload
from server.workers.errors import (
    BadBody,
    BadRows,
    Fault,
    Invalid,
    ModelFailed,
    NotJson,
    OutOfMemory,
    RequestError,
    ScriptFailed,
    TooLarge,
    UnknownLevel,
    Unreadable,
    lacks_memory,
    load_code,
    request_error,
)
from server.workers.refusals import refusal

WORDS = "secret words of the model"


def kinds(of: type[RequestError] = RequestError) -> Iterator[type[RequestError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def raised(kind: type[RequestError]) -> RequestError:
    return kind() if kind is Unreadable else kind(WORDS)


@pytest.mark.parametrize("kind", list(kinds()))
def test_each_kind_of_error_is_a_refusal_that_a_web_process_takes(kind: type[RequestError]) -> None:
    result = refusal(raised(kind))
    assert result.code != ReplyCode.OK
    check(ReplyPayload(0.0, 0.0, 0.0, [result]), 0.0)


def test_each_reply_code_but_ok_is_some_errors() -> None:
    assert {kind.reply_code for kind in kinds()} == set(ReplyCode) - {ReplyCode.OK}


@pytest.mark.parametrize("kind", [k for k in kinds() if issubclass(k, ModelFailed) and not issubclass(k, NotJson)])
def test_a_models_own_words_are_never_the_detail(kind: type[ModelFailed]) -> None:
    told = raised(kind).for_caller()
    assert WORDS not in told["detail"]
    assert told["model_message"] == WORDS


def test_a_model_without_words_has_no_message() -> None:
    assert ModelFailed("").for_caller() == {"detail": "the model could not predict these rows"}


def test_the_faults_of_a_body_are_told_by_row_and_column_and_at_most_a_hundred() -> None:
    body = orjson.loads(refusal(Invalid("no", [Fault(3, "x", "a number", "null", "write it")] * 200)).body)
    assert (
        body["errors"] == [{"row": 3, "column": "x", "expected": "a number", "got": "null", "hint": "write it"}] * 100
    )
    assert Invalid("no").for_caller() == {"detail": "no"}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (TooLarge(WORDS), None),
        (BadBody(WORDS), None),
        (Invalid(WORDS), None),
        (UnknownLevel(WORDS), None),
        (BadRows(WORDS), None),
        (ModelFailed(WORDS), "the model failed"),
        (OutOfMemory(WORDS), "the model failed"),
        (ScriptFailed(WORDS), "the script failed"),
        (NotJson(WORDS), "the script failed"),
        (request_error(ZeroDivisionError(WORDS)), "a body could not be read"),
    ],
)
def test_the_log_is_told_of_what_is_not_the_callers_fault(
    error: RequestError, line: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    error.log_to(logging.getLogger(__name__), {"model": "iris", "request_id": "id-7"})
    assert [(r.message, r.__dict__["request_id"]) for r in caplog.records] == ([(line, "id-7")] if line else [])


def test_whatever_is_raised_is_a_request_error_and_one_that_is_stays_itself() -> None:
    invalid = Invalid("no")
    assert request_error(invalid) is invalid
    assert isinstance(request_error(MemoryError()), OutOfMemory)
    unforeseen = ZeroDivisionError()
    assert isinstance(request_error(unforeseen), Unreadable)
    assert request_error(unforeseen).__cause__ is unforeseen


def test_a_model_of_r_cannot_make_up_a_code() -> None:
    assert load_code("no_schema") == "no_schema"
    assert load_code("verified") == "failed"


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (MemoryError(), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."), True),
        (OSError(12, "Cannot allocate memory"), True),
        (ValueError("memory"), False),
    ],
)
def test_libraries_say_in_their_own_words_that_memory_has_run_out(error: Exception, lacks: bool) -> None:
    assert lacks_memory(error) == lacks
