"""The watch over workers, on plain processes: who is stopped, who has grown, and that sharing is not growing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from server.pools.watchdog import ALLOWANCE, SLACK_BYTES, Watchdog
from tests.harness.tandem import eventually

MIB = 1 << 20
CEILING = int((64 * MIB) / ALLOWANCE)
MOST_MIB = 64 + SLACK_BYTES // MIB

PROGRAM = """
import os, sys, time
held = []
for line in sys.stdin:
    what, amount = line.split()
    if what == "hold":
        held.append(bytes([1]) * (int(amount) << 20))
    elif os.fork() == 0:
        held.append(bytes([1]) * (int(amount) << 20))
        os.write(1, b"done\\n")
        time.sleep(600)
    if what == "hold":
        os.write(1, b"done\\n")
"""


class Plain:
    """A process that holds as much memory as it is told, as a worker of the pool."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        )
        self.worker: Any = Mock(fork=Mock(pid=self.process.pid, alive=True))
        self.tell("hold", 0)

    def tell(self, what: str, mib: int) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{what} {mib}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def plain() -> Iterator[Callable[[], Plain]]:
    made: list[Plain] = []

    def make() -> Plain:
        made.append(Plain())
        return made[-1]

    yield make
    for one in made:
        one.end()


def reasons(watchdog: Watchdog, *processes: Plain) -> list[str]:
    return [reason for _, reason in watchdog.look([p.worker for p in processes], CEILING)]


def test_what_a_worker_had_when_it_was_first_seen_does_not_count(plain: Callable[[], Plain]) -> None:
    one, watchdog = plain(), Watchdog()
    one.tell("hold", MOST_MIB + 10)
    assert reasons(watchdog, one) == []
    one.tell("hold", MOST_MIB - 10)
    assert reasons(watchdog, one) == []
    one.tell("hold", 20)
    assert reasons(watchdog, one) == ["memory"]


def test_what_its_children_hold_counts(plain: Callable[[], Plain]) -> None:
    one, watchdog = plain(), Watchdog()
    assert reasons(watchdog, one) == []
    one.tell("fork", MOST_MIB // 2)
    assert reasons(watchdog, one) == []
    one.tell("fork", MOST_MIB // 2 + 10)
    assert reasons(watchdog, one) == ["memory"]


def test_one_that_is_stopped_at_two_looks_in_a_row_is_told_of(plain: Callable[[], Plain]) -> None:
    one, other, watchdog = plain(), plain(), Watchdog()
    assert reasons(watchdog, one, other) == []
    for number, told in ((signal.SIGSTOP, []), (signal.SIGCONT, []), (signal.SIGSTOP, []), (None, ["stopped"])):
        if number is not None:
            os.kill(one.process.pid, number)
            eventually(lambda wanted=number is signal.SIGSTOP: _stopped(one.process.pid) == wanted)
        assert reasons(watchdog, one, other) == told


def test_one_that_has_ended_meanwhile_is_no_trouble(plain: Callable[[], Plain]) -> None:
    one, watchdog = plain(), Watchdog()
    assert reasons(watchdog, one) == []
    os.kill(one.process.pid, signal.SIGKILL)
    one.process.wait()
    assert reasons(watchdog, one) == []


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
