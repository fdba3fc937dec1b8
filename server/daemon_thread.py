"""Work that may wait for the disk, in a thread that nobody waits for when the process ends.

The loop's own threads are joined at its end, so that one file on a network share that has gone would keep the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def in_daemon_thread(work: Callable[..., Result], *arguments: Any) -> Result:
    """What the work returns or raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def resolve(set_outcome: Callable[[Any], None], value: Any) -> None:
        if not done.done():  # else who waited has been cancelled
            set_outcome(value)

    def run() -> None:
        set_outcome: Callable[[Any], None]
        value: Any
        try:
            set_outcome, value = done.set_result, work(*arguments)
        except BaseException as e:
            set_outcome, value = done.set_exception, e
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(resolve, set_outcome, value)

    threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True).start()
    return await done
