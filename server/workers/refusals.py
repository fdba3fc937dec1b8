"""What a worker says instead of an answer: a code, and a JSON object that tells the caller what was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from server.wire.frames import Member, ReplyCode, ReplyPayload, Result


def refusal(code: ReplyCode, detail: str, **more: Any) -> Result:
    """One request's refusal; of `more` (`errors`, `model_message`) what is empty is left out."""
    present = {key: value for key, value in more.items() if value}
    return Result(code, 0, orjson.dumps({"detail": detail, **present}))


def refuse_all(members: Sequence[Member], code: ReplyCode, detail: str) -> ReplyPayload:
    """One and the same refusal for every member."""
    return ReplyPayload(0.0, 0.0, 0.0, [refusal(code, detail)] * len(members))
