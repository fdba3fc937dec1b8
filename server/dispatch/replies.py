"""What a worker says of its answers is looked at before anything is done with it: a model may speak for its worker."""

from __future__ import annotations

from typing import Any

import orjson

from server.wire.frames import ReplyCode, ReplyPayload, Result, WireError
from server.wire.heads import read_reply

ROWS_PER_BYTE = 8
"""No reply holds more: a logical in Arrow takes one bit. A script's empty reply is one row too."""
MAX_LENGTH_DIGITS = 10
SLACK_S = 1.0


def check(reply: ReplyPayload, elapsed_s: float) -> None:
    """See that a reply to what was sent so many seconds ago can be true, and has the form that callers are promised.

    Raises WireError where its times are none or longer than that, where it counts more rows than its body holds, or
    where a refusal or the notes of an answer are none: a list of texts, a length within the body, or a head.
    """
    most_s = elapsed_s + SLACK_S
    if not (0.0 <= reply.decode_s <= most_s and 0.0 <= reply.predict_s <= most_s and 0.0 <= reply.encode_s <= most_s):
        raise WireError("a reply's times cannot be true")
    for result in reply.results:
        if result.code != ReplyCode.OK:
            _check_refusal(result)
        elif result.rows > ROWS_PER_BYTE * len(result.body) + 1:
            raise WireError("a reply counts more rows than it holds")
        elif result.notes and not (_is_length(result) or _all_of(str, _read(result.notes))):
            read_reply(result.notes, len(result.body))


def _is_length(result: Result) -> bool:
    notes = result.notes
    return notes.isdigit() and len(notes) <= MAX_LENGTH_DIGITS and int(notes) <= len(result.body)


def _check_refusal(result: Result) -> None:
    said = _read(result.body)
    if (
        not isinstance(said, dict)
        or not isinstance(said.get("detail"), str)
        or not isinstance(said.get("model_message", ""), str)
        or not _all_of(dict, said.get("errors", []))
        or result.rows
    ):
        raise WireError("a refusal does not have the form of one")


def _read(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _all_of(kind: type, values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)
