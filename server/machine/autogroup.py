"""The processor's time for a session of processes, beside other sessions, where Linux groups them (autogroup).

A process may not take back a `nice` that it has given itself, and what it forks has it too. The nice of a whole session
may be taken back by anybody whose session it is. Linux has none where it is switched off, and it does not count within
a cgroup that shares out the processors by itself, as in a container.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

NORMAL, ASIDE = 0, 10
"""Where others want the processor too, a tenth of what they get."""
LONGEST_S = 20.0
"""How long a session stands aside. On a machine that is never idle it must come to an end too."""
TRIES = 30
AGAIN_AFTER_S = 0.11
"""Only root may change groups more often than ten times a second, all of the machine together."""


async def set_nice(leader: int, nice: int, proc: Path = Path("/proc")) -> bool:
    """Set the nice of a session's group, by its leader; whether there is such a group."""
    for _ in range(TRIES):
        try:
            (proc / str(leader) / "autogroup").write_text(str(nice))
            return True
        except BlockingIOError:
            await asyncio.sleep(AGAIN_AFTER_S)
        except OSError:
            return False
    return False


class Aside:
    """A session that lets others have the processors from now on, until it comes forward, but not for long."""

    def __init__(self, leader: int) -> None:
        self._forward = asyncio.Event()
        self._standing = asyncio.create_task(self._stand(leader))

    async def _stand(self, leader: int) -> None:
        if await set_nice(leader, ASIDE):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._forward.wait(), LONGEST_S)
            await set_nice(leader, NORMAL)

    async def come_forward(self) -> None:
        """The session has as much of the processors as others, now."""
        self._forward.set()
        await self._standing
