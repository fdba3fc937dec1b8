"""The head of a good answer, in bytes."""

from __future__ import annotations

from server.dispatch.dispatcher import Scored

_HEAD = (
    b"content-length: %d\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
    b"x-request-id: %b\r\nserver-timing: queue;dur=%.3f, decode;dur=%.3f, predict;dur=%.3f, encode;dur=%.3f\r\n"
)


def head(scored: Scored, content_lines: bytes, request_id: bytes) -> bytes:
    """The lines of the headers of a worker's answer; `content_lines` say how its body is written."""
    reply = scored.reply
    return content_lines + _HEAD % (
        len(scored.result.body),
        request_id,
        scored.queue_s * 1e3,
        reply.decode_s * 1e3,
        reply.predict_s * 1e3,
        reply.encode_s * 1e3,
    )
