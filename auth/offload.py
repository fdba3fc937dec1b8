"""A few threads for work that must not hold up the event loop.

Owns the bound on such work: so many at once, so many waiting, and one more is refused at once. Must not know what the
work is.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore, get_native_id
from typing import Final, ParamSpec, Protocol, TypeVar

from auth.errors import AccountsUnavailable, Throttled

P = ParamSpec("P")
T = TypeVar("T")


class Look(Protocol):
    """How a question is put to the store of accounts: at once, or in a thread."""

    async def __call__(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns."""


async def at_once(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` here and now: for a store that answers in microseconds."""
    return work(*args, **kwargs)


GIVES_WAY: Final = 10
"""By how much threads that give way are nicer than the others of their process (Linux has it for each thread)."""


class Offload:
    """A thread pool with a bounded queue. What `gives_way` has the processor where nobody else wants it."""

    def __init__(self, name: str, threads: int, waiting: int, gives_way: bool = False) -> None:
        first = _give_way if gives_way else None
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"auth-{name}", initializer=first)
        self._places = BoundedSemaphore(threads + waiting)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a thread; raise `Throttled` at once when every place is taken."""
        if not self._places.acquire(blocking=False):
            raise Throttled(1.0)
        try:
            context = copy_context()  # whoever asks is who acts, in the thread too
            job = self._threads.submit(lambda: context.run(work, *args, **kwargs))
        except RuntimeError:  # shut down
            self._places.release()
            raise
        # On the thread's own future: a caller that goes away does not end the work, so it does not free the place.
        job.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(job)

    def start(self, work: Callable[[], object]) -> bool:
        """Run `work` in a thread without waiting for it. False if there was no place for it."""
        if not self._places.acquire(blocking=False):
            return False
        self._threads.submit(work).add_done_callback(lambda _: self._places.release())
        return True

    def close(self) -> None:
        """Finish the work that is running, and drop what waits."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _give_way() -> None:
    thread = get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + GIVES_WAY))


class Looks:
    """A thread for look-ups, where those take a while."""

    def __init__(self) -> None:
        self._offload = Offload("looks", threads=1, waiting=256)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns; raise `AccountsUnavailable` where too many look-ups wait."""
        try:
            return await self._offload.run(work, *args, **kwargs)
        except Throttled as full:
            raise AccountsUnavailable("too many wait to be looked up") from full

    def close(self) -> None:
        """Finish the work that is running, and drop what waits."""
        self._offload.close()
