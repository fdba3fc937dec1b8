"""A template that does not keep to what was agreed, as a model in it may speak for it: it is ended, not believed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.pools.environment import for_models
from server.pools.template import Template, TemplateLost

FORK = b'{"did":"fork","pid":1}\n'


class Process:
    """A process of the template's session, in its place."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def kill(self) -> None:
        self.returncode = -signal.SIGKILL


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a session of its own."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True) as process:
        yield process
        process.kill()


def fork_from(pid: int, folder: Path, answer: Callable[[socket.socket], None]) -> tuple[int | None, bool]:
    """Ask for a fork of a template with this session, which answers so; the fork's process id, and whether it lives."""

    async def ask() -> tuple[int | None, bool]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        process = Process(pid)
        template = Template(process, ours, {})  # type: ignore[arg-type]  # a process of which only this much is used
        with theirs:
            asking = asyncio.create_task(template.fork(1, folder / "socket", 1, folder / "scratch"))
            while not await asyncio.to_thread(socket.recv_fds, theirs, 1 << 16, 1):
                pass
            answer(theirs)
            try:
                fork = await asyncio.wait_for(asking, 10)
            except TemplateLost:
                assert template.lost.is_set()
                assert not (folder / "socket").exists()
                return None, process.returncode is None
        template._close()
        return fork.pid, process.returncode is None

    return asyncio.run(ask())


def test_a_fork_of_its_own_is_believed(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    def answer(theirs: socket.socket) -> None:
        socket.send_fds(theirs, [FORK], [os.pidfd_open(sleeper.pid)])

    assert fork_from(sleeper.pid, tmp_path, answer) == (sleeper.pid, True)


def test_a_process_that_is_not_its_own_is_not_believed(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    def answer(theirs: socket.socket) -> None:
        socket.send_fds(theirs, [FORK], [os.pidfd_open(os.getpid())])

    assert fork_from(sleeper.pid, tmp_path, answer) == (None, False)


def test_a_fork_that_has_ended_already_costs_the_template_nothing(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    def answer(theirs: socket.socket) -> None:
        with subprocess.Popen(["true"]) as ended:
            pidfd = os.pidfd_open(ended.pid)
        socket.send_fds(theirs, [FORK], [pidfd])

    assert fork_from(sleeper.pid, tmp_path, answer) == (-1, True)


def test_what_is_no_process_is_not_believed(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    def answer(theirs: socket.socket) -> None:
        socket.send_fds(theirs, [FORK], [0])

    assert fork_from(sleeper.pid, tmp_path, answer) == (None, False)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(FORK, id="a fork without its descriptor"),
        pytest.param(b'{"did":"load","failed":null}\n', id="an answer to something else"),
        pytest.param(FORK + FORK, id="two answers"),
        pytest.param(b"not JSON\n", id="no JSON"),
        pytest.param(b"[1]\n", id="no object"),
    ],
)
def test_what_was_not_asked_ends_the_template(tmp_path: Path, sleeper: subprocess.Popen[bytes], said: bytes) -> None:
    assert fork_from(sleeper.pid, tmp_path, lambda theirs: theirs.sendall(said)) == (None, False)


def test_an_answer_without_an_end_ends_the_template(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    def answer(theirs: socket.socket) -> None:
        with theirs, contextlib.suppress(OSError):
            while True:
                theirs.send(b"x" * 65536)

    def answer_beside(theirs: socket.socket) -> None:
        asyncio.get_running_loop().run_in_executor(None, answer, theirs.dup())

    assert fork_from(sleeper.pid, tmp_path, answer_beside) == (None, False)


def test_models_see_neither_settings_nor_ways_to_other_services() -> None:
    seen = for_models(
        {"TANDEM_DATA": "x", "SSH_AUTH_SOCK": "x", "NOTIFY_SOCKET": "x", "PATH": "/bin", "MY_SCRIPT": "1"}
    )
    assert seen == {"PATH": "/bin", "MY_SCRIPT": "1"}
