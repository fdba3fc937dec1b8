"""Warnings that a reply's body has no place for, as a header."""

from __future__ import annotations

import json

import orjson

MAX_WARNINGS_BYTES = 4096
MAX_WARNING_CHARS = 500


def warning_line(notes: bytes) -> bytes:
    """The line of the head with a reply's warnings, which `notes` holds as a JSON array."""
    return b"x-tandem-warnings: %b\r\n" % _warnings(notes)


def _warnings(notes: bytes) -> bytes:
    """The first warnings, as many as a header may hold, as a JSON array in ASCII."""
    told: list[str] = []
    size = 2
    for warning in orjson.loads(notes):
        text = json.dumps(warning[:MAX_WARNING_CHARS]).replace("\x7f", "\\u007f")
        size += len(text) + 2
        if size > MAX_WARNINGS_BYTES:
            break
        told.append(text)
    return f"[{', '.join(told)}]".encode()
