"""Work in a thread that nobody waits for."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from server.daemon_thread import in_daemon_thread

ENDS_WITH_WORK_THAT_NEVER_DOES = """
import asyncio, os
from server.daemon_thread import in_daemon_thread

async def main():
    read, write = os.pipe()
    working = asyncio.create_task(in_daemon_thread(os.read, read, 1))
    await in_daemon_thread(len, "abc")
    working.cancel()

asyncio.run(main())
"""


def test_what_the_work_returns_or_raises_is_handed_on() -> None:
    assert asyncio.run(in_daemon_thread(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_daemon_thread(divmod, 7, 0))


def test_a_process_ends_although_work_does_not() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS_WITH_WORK_THAT_NEVER_DOES], timeout=60, check=False)
    assert ended.returncode == 0
