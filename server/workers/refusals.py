"""What a worker says instead of an answer: a code, and a JSON object that tells the caller what was wrong."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from server.wire.frames import Member, ReplyPayload, Result
from server.workers.errors import RequestError


def refusal(error: RequestError) -> Result:
    """One request's refusal."""
    return Result(error.reply_code, 0, orjson.dumps(error.for_caller()))


def refuse_all(members: Sequence[Member], error: RequestError) -> ReplyPayload:
    """The same refusal for every member."""
    return ReplyPayload(0.0, 0.0, 0.0, [refusal(error)] * len(members))
