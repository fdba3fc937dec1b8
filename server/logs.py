"""Logs: one JSON object a line on standard error. Never a body, a token or a password; newlines cannot be smuggled in.

`extra={…}` of a log call becomes members of the object; only the names in `FIELDS` are let through, so that a value
that nobody thought of cannot leak.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from functools import lru_cache
from typing import Any

import orjson

FIELDS = (
    "request_id",
    "principal",
    "method",
    "path",
    "model",
    "version",
    "code",
    "status",
    "rows",
    "seconds",
    "pool",
    "worker",
    "remote",
    "provider",
    "generation",
    "models",
    "workers",
    "threads",
    "cores",
    "pid",
    "reason",
    "settings",
    "text",
    "file",
    "address",
    "r",
    "blas",
    "facts",
)


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        line: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:  # such as a file name that is not UTF-8
            return json.dumps(line, default=str, ensure_ascii=False).encode(errors="replace").decode()


def timestamp(seconds: float) -> str:
    """A point in time (seconds since 1970) as RFC 3339 in UTC, to the millisecond."""
    return f"{_to_the_second(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


def now() -> str:
    """This moment, likewise."""
    return timestamp(time.time())


@lru_cache(maxsize=4)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def configure(level: str = "INFO") -> None:
    """Send every logger's records to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("rpy2").setLevel(max(root.level, logging.WARNING))
