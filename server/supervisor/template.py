"""The supervisor's side of a template: start it, give it commands, get its forks. See `server/workers/template.py`."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from server.config import Settings
from server.supervisor.environment import MEMORY_KEPT, of_threads
from server.supervisor.fork import Fork

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0


class TemplateLost(Exception):
    """The template has ended or did not answer in time. Recoverable: start another; its workers live on."""


class Template:
    """One running template."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._buffer = b""
        self._fds: deque[int] = deque()
        self._answers: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._turn = asyncio.Lock()
        self.facts: Mapping[str, str] = {}
        self.lost = asyncio.Event()
        asyncio.get_running_loop().add_reader(control, self._on_readable)

    @staticmethod
    async def start(runtime: str, settings: Settings, python: Path, threads: int) -> Template:
        """Start a template and wait until its runtime is up. Raises TemplateLost.

        `python` is the interpreter, `threads` what the runtime's libraries may use.
        """
        ours, theirs = socket.socketpair()
        process = await asyncio.create_subprocess_exec(
            *(str(python), "-m", "server.workers.template", "--runtime", runtime),
            *("--control-fd", str(theirs.fileno()), "--max-payload-bytes", str(settings.max_payload_bytes)),
            *("--max-inflated-bytes", str(settings.max_body_bytes)),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr,
            env=os.environ | MEMORY_KEPT | of_threads(threads),
            # A terminal's Ctrl-C goes to a whole group; who leaves when is the supervisor's to decide. Ignoring the
            # signal would not do: R catches it again whenever it waits (R_SelectEx).
            start_new_session=True,
        )
        theirs.close()
        ours.setblocking(False)
        template = Template(process, ours)
        try:
            answer = await asyncio.wait_for(template._answer(), START_TIMEOUT_S)
        except BaseException as e:  # also where the pool is stopped meanwhile
            template.kill()
            template._close()
            if isinstance(e, TimeoutError):
                raise TemplateLost("the runtime did not start in time") from e
            raise
        template.facts = answer["facts"]
        return template

    @property
    def pid(self) -> int:
        """The template's process id."""
        return self._process.pid

    async def probe(
        self, specs: Sequence[Mapping[str, Any]], scratch: Path, timeout_s: float
    ) -> AsyncIterator[dict[str, Any]]:
        """Describe models in one forked process; an answer for each, in order.

        The process is killed when one model takes longer than `timeout_s`. Fewer answers than models mean that the
        first one without an answer crashed or hung: `timed_out` of the last answer tells which.
        """
        _, (pidfd, read_end) = await self._command({"do": "probe", "models": specs, "scratch": str(scratch)}, fds=2)
        fork = Fork(0, pidfd)
        reader = await _pipe_reader(read_end)
        try:
            for _ in specs:
                line = await asyncio.wait_for(reader.readline(), timeout_s)
                if not line.endswith(b"\n"):
                    return
                yield orjson.loads(line)
        except TimeoutError:
            yield {"timed_out": True}
        finally:
            fork.kill()
            await fork.ended()

    async def load(self, spec: Mapping[str, Any], timeout_s: float) -> str | None:
        """Load one model into the template. Returns why it could not, or None."""
        answer, _ = await self._command({"do": "load", "model": spec}, timeout_s=timeout_s)
        failed: str | None = answer["failed"]
        return failed

    async def settle(self, keep: Sequence[str]) -> None:
        """Drop all models but `keep`, and make ready to fork."""
        await self._command({"do": "settle", "keep": list(keep)})

    async def fork(self, slot: int, socket_path: Path, seed: int, scratch: Path) -> Fork:
        """Fork a worker that listens on `socket_path`; it does so when this returns."""
        command = {"do": "fork", "slot": slot, "socket": str(socket_path), "seed": seed, "scratch": str(scratch)}
        answer, (pidfd,) = await self._command(command, fds=1)
        return Fork(answer["pid"], pidfd)

    async def stop(self) -> None:
        """Let the template end; kill it if it does not."""
        self._close()
        try:
            await asyncio.wait_for(self._process.wait(), 2.0)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End the template at once."""
        if self._process.returncode is None:
            self._process.kill()

    async def _command(
        self, command: Mapping[str, Any], fds: int = 0, timeout_s: float = START_TIMEOUT_S
    ) -> tuple[dict[str, Any], list[int]]:
        async with self._turn:
            if self.lost.is_set():
                raise TemplateLost("the template has ended")
            try:
                await asyncio.get_running_loop().sock_sendall(self._control, orjson.dumps(command) + b"\n")
                answer = await asyncio.wait_for(self._answer(), timeout_s)
            except TimeoutError as e:
                self.kill()
                self._close()
                raise TemplateLost("the template did not answer in time") from e
            except OSError as e:
                raise TemplateLost("the template has ended") from e
            return answer, [self._fds.popleft() for _ in range(fds)]

    async def _answer(self) -> dict[str, Any]:
        answer = await self._answers.get()
        if answer is None:
            raise TemplateLost("the template has ended")
        return answer

    def _on_readable(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._control, 1 << 16, 16)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        self._fds.extend(fds)
        if not data:
            self._close()
            self._answers.put_nowait(None)
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._answers.put_nowait(orjson.loads(line))

    def _close(self) -> None:
        self.lost.set()
        if self._control.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()


async def _pipe_reader(fd: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=1 << 28)
    pipe = open(fd, "rb", buffering=0)  # noqa: SIM115 - the transport owns and closes it
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader
