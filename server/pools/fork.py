"""A forked process, watched and killed through its pidfd, which can never stand for another process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

ENDED = -1
"""The kernel's answer for the process id of a pidfd whose process has been waited for."""


class Fork:
    """A process that a template has forked, as the supervisor sees it. It leads a process group of its own."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(pidfd, self._on_end)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return not self._ended.done()

    async def ended(self) -> None:
        """Wait until the process has ended."""
        await asyncio.shield(self._ended)

    def when_ended(self, tell: Callable[[], None]) -> None:
        """Call `tell` once the process has ended."""
        self._ended.add_done_callback(lambda _: tell())

    def kill(self) -> None:
        """Kill the process (SIGKILL), if it still runs."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):  # it has just ended, and we have not heard of it yet
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        # What the model forked holds the worker's sockets open. The number of a group is not given anew while the
        # group, or its leader's remains, are there.
        if self.pid > 1 and self.pid != os.getpgrp():  # a wrong number would be the end of others
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # it is ours only if we inherited it from a template that ended
            os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        os.close(self._pidfd)
        self._ended.set_result(None)


def pid_of(pidfd: int) -> int:
    """The process id that a pidfd stands for; ENDED once the process is no more. Raises ValueError for no pidfd."""
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise ValueError("no pidfd")
