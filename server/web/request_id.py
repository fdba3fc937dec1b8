"""Request ids: the caller's, if it is fit to be repeated, else one of ours."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Mapping

MAX_CHARS = 100
_FIT = re.compile(rb"[!-~]{1,%d}" % MAX_CHARS)


class RequestIds:
    """Names requests. Ours are unique across processes: a random prefix for each, then a count."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._count = itertools.count(1)

    def of(self, headers: Mapping[bytes, bytes]) -> str:
        """The id of the request with these headers: printable ASCII of at most 100 characters."""
        given = headers.get(b"x-request-id")
        if given is not None and _FIT.fullmatch(given):
            return given.decode()
        return f"{self._prefix}-{next(self._count):x}"
