"""Renewal: a template that has read a model which has left is replaced by one that never had it, with all its workers.

A model is code and may have left some in the process that read it, and in all that was forked from it
(docs/adr/0019-leaving.md).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from server.pools.tasks import Backoff, Tasks
from server.pools.template_keeper import FileGone
from server.pools.worker_set import CANNOT_START

log = logging.getLogger(__name__)

PAUSE_S = 2.0
"""Shortest pause before a renewal, so that models which leave one after the other need one renewal only."""
CALM_S = 20.0
"""Longest time that a renewal waits for new files to be examined, which somebody waits for."""


class Renewal:
    """Renews a pool's template in the background, at most half of the time, however often models change."""

    def __init__(
        self,
        pool: str,
        is_due: Callable[[], bool],
        is_examining: Callable[[], bool],
        renew: Callable[[], Awaitable[None]],
        tasks: Tasks,
        backoff: Backoff,
    ) -> None:
        self.running = False
        """True while a renewal is under way or waits for its time."""
        self._pool = pool
        self._is_due = is_due
        self._is_examining = is_examining
        self._renew = renew
        self._tasks = tasks
        self._backoff = backoff
        self._took_s = 0.0

    def start_if_due(self) -> None:
        """Begin to renew, if a process has read a model that has left."""
        if self._is_due() and not self.running:
            self.running = True
            self._tasks.start(self._run())

    async def _run(self) -> None:
        try:
            while self._is_due():
                await asyncio.sleep(max(PAUSE_S, self._took_s))
                await self._calm()
                started = time.monotonic()
                try:
                    await self._renew()
                except FileGone:
                    continue  # until what is in its place serves instead, or it is back
                except CANNOT_START as e:
                    log.error("template not renewed", extra={"pool": self._pool, "reason": repr(e)})
                    await self._backoff.wait()
                self._took_s = time.monotonic() - started
        finally:
            self.running = False

    async def _calm(self) -> None:
        """Let new files be examined first, but do not wait long for them."""
        until = time.monotonic() + CALM_S
        while self._is_examining() and time.monotonic() < until:
            await asyncio.sleep(PAUSE_S)
