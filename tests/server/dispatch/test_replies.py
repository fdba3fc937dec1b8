"""What a worker's reply may say: whatever cannot be true, or has another form, is no reply."""

from __future__ import annotations

import math

import orjson
import pytest

from server.dispatch.replies import check
from server.wire.frames import ReplyCode, ReplyPayload, Result, WireError

GOOD = Result(ReplyCode.OK, 2, b'{"predictions":[1,2]}')


def refusal(**said: object) -> Result:
    return Result(ReplyCode.INVALID, 0, orjson.dumps(said))


@pytest.mark.parametrize(
    "result",
    [
        GOOD,
        GOOD._replace(notes=b'["a worry"]'),
        Result(ReplyCode.OK, 1, b""),
        refusal(detail="no"),
        refusal(detail="no", errors=[{"row": 1}], model_message="never"),
    ],
)
def test_what_workers_say_is_believed(result: Result) -> None:
    check(ReplyPayload(0.1, 0.2, 0.0, [GOOD, result]), 0.3)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -0.001, 1e9])
@pytest.mark.parametrize("stage", range(3))
def test_times_that_cannot_be_true_are_not_believed(seconds: float, stage: int) -> None:
    times = [0.0, 0.0, 0.0]
    times[stage] = seconds
    with pytest.raises(WireError, match="times"):
        check(ReplyPayload(*times, [GOOD]), 2.0)


@pytest.mark.parametrize(
    "result",
    [
        GOOD._replace(rows=2**32 - 1),
        GOOD._replace(notes=b"no JSON"),
        GOOD._replace(notes=b'{"a": 1}'),
        GOOD._replace(notes=b"[1]"),
        Result(ReplyCode.INVALID, 0, b"no JSON"),
        Result(ReplyCode.INVALID, 0, b"[]"),
        Result(ReplyCode.INVALID, 1, b'{"detail":"no"}'),
        refusal(),
        refusal(detail={"a": 1}),
        refusal(detail="no", errors="zz"),
        refusal(detail="no", errors=["zz"]),
        refusal(detail="no", model_message=["m"]),
    ],
)
def test_a_reply_of_another_form_is_none(result: Result) -> None:
    with pytest.raises(WireError):
        check(ReplyPayload(0.0, 0.0, 0.0, [GOOD, result]), 1.0)
