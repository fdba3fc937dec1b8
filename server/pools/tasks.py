"""A pool's work in the background, and how long it waits before it tries again what has failed."""

from __future__ import annotations

import asyncio
import logging
from asyncio import sleep
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)

CANCEL_TIMEOUT_S = 1.0
"""Longest time that a pool which stops waits for its cancelled tasks."""
BACKOFF_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts: the first is tried again at once, all after the last wait as long as the last."""


class Tasks:
    """The background tasks of one pool. A task that fails is logged; all are cancelled when the pool stops."""

    def __init__(self, pool: str) -> None:
        self.stopped = False
        """True once the pool stops: nothing that has ended is to be started again."""
        self._pool = pool
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_end)

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended: a task that was about to fork leaves no fork behind."""
        self.stopped = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CANCEL_TIMEOUT_S)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a change of the pool failed", extra={"pool": self._pool}, exc_info=task.exception())


class Backoff:
    """Pauses that become longer with each failure in a row."""

    def __init__(self) -> None:
        self._failures = 0

    async def wait(self) -> None:
        """Pause after a failure."""
        await sleep(BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)])
        self._failures += 1

    def reset(self) -> None:
        """Begin with the shortest pause again, because something has worked."""
        self._failures = 0
