"""Logs: one JSON object a line on standard error. Never a body, a token, a key or a password, nor a forged newline.

`extra={…}` of a log call becomes members of the object; only the names in `FIELDS` are let through, so that a value
that nobody thought of cannot leak.
"""

from __future__ import annotations

import json
import logging
import re
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
    "endpoints",
    "text",
    "file",
    "address",
    "r",
    "blas",
    "facts",
    "seq",
    "via",
    "action",
    "target",
    "outcome",
    "more",
)


API_KEY = re.compile(rb"(tdm_[0-9A-Za-z]{8})_[0-9A-Za-z]{6,}")
"""An API key, or enough of one to be of use. It is cut to its id, by which an administrator finds it."""


def without_keys(data: bytes) -> bytes:
    """Lines of the log, with every API key cut to its id: somebody may have put one where it does not belong."""
    return API_KEY.sub(rb"\1", data) if b"tdm_" in data else data


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
            data = orjson.dumps(line, default=str)
        except TypeError:  # such as a file name that is not UTF-8
            data = json.dumps(line, default=str, ensure_ascii=False).encode(errors="replace")
        return without_keys(data).decode()


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
