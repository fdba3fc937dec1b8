"""The head of a good answer, in bytes."""

from __future__ import annotations

import json

import orjson

from server.dispatch.dispatcher import Scored
from server.web.scoring.negotiation import NAMES

MAX_WARNINGS_BYTES = 4096
MAX_WARNING_CHARS = 500

_HEAD = (
    b"content-type: %b\r\ncontent-length: %d\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
    b"x-request-id: %b\r\nserver-timing: queue;dur=%.3f, decode;dur=%.3f, predict;dur=%.3f, encode;dur=%.3f\r\n"
)


def head(scored: Scored, accept: int, request_id: bytes) -> bytes:
    """The lines of the headers of a worker's answer in the media type `accept`."""
    reply, result = scored.reply, scored.result
    lines = _HEAD % (
        NAMES[accept],
        len(result.body),
        request_id,
        scored.queue_s * 1e3,
        reply.decode_s * 1e3,
        reply.predict_s * 1e3,
        reply.encode_s * 1e3,
    )
    if result.notes:
        lines += b"x-tandem-warnings: %b\r\n" % _warnings(result.notes)
    return lines


def _warnings(notes: bytes) -> bytes:
    """As many of the warnings as a header may hold: a JSON array in ASCII."""
    told: list[str] = []
    size = 2
    for warning in orjson.loads(notes):
        text = json.dumps(warning[:MAX_WARNING_CHARS]).replace("\x7f", "\\u007f")
        size += len(text) + 2
        if size > MAX_WARNINGS_BYTES:
            break
        told.append(text)
    return f"[{', '.join(told)}]".encode()
