"""One line of JSON for each scoring request, written in bursts: a write for each would cost too much."""

from __future__ import annotations

import asyncio
import logging
import os
import time

import orjson

from auth.principal import Principal
from server.dispatch.dispatcher import Scored
from server.logs import timestamp, without_keys
from server.web.scoring.target import Behind
from server.wire.snapshot import Entry

FLUSH_EVERY_S = 0.1


class AccessLog:
    """Collects lines and writes them ten times a second, and at the end."""

    def __init__(self, fd: int = 2) -> None:
        self._fd = fd
        self._on = logging.getLogger(__name__).isEnabledFor(logging.INFO)
        self._lines: list[bytes] = []

    def write(
        self,
        request_id: str,
        principal: Principal | None,
        address: str,
        entry: Entry | None,
        behind: Behind | None,
        dialect: str,
        code: str,
        rows: int,
        seconds: float,
        scored: Scored | None,
    ) -> None:
        """Note one answered request. Times are in seconds."""
        if not self._on:
            return
        line = {
            "time": timestamp(time.time()),
            "level": "info",
            "logger": __name__,
            "message": "scored",
            "request_id": request_id,
            "principal": principal.name if principal else None,
            "via": principal.via if principal else None,
            "key": principal.key if principal else None,
            "address": address,
            "model": entry.name if entry else None,
            "version": entry.version if entry else None,
            "dialect": dialect,
            "code": code,
            "rows": rows,
            "seconds": round(seconds, 6),
        }
        if behind is not None:
            line["endpoint"], line["deployment"] = behind.endpoint, behind.deployment or None
        if scored is not None:
            line["queue_s"] = round(scored.queue_s, 6)
            line["predict_s"] = round(scored.reply.predict_s, 6)
            line["batch_requests"] = scored.batch_requests
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_EVERY_S, self.flush)
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Write what has been collected."""
        data, self._lines = without_keys(b"".join(self._lines)), []
        while data:
            data = data[os.write(self._fd, data) :]
