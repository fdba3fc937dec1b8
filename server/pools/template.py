"""The supervisor's side of a template: start it, give it commands, get its forks. See `server/workers/template.py`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from server.config import Settings
from server.machine.autogroup import Aside
from server.pools import session
from server.pools.environment import MEMORY_KEPT, for_models, of_threads, program
from server.pools.folders import Identities, identities
from server.pools.fork import ENDED, Fork, pid_of
from server.pools.memory_ceiling import ceiling_bytes
from server.pools.output import Output
from server.pools.plan import PoolPlan
from server.unix_sockets import address
from server.wire.commands import Command, Load, Loaded, MakeWorker, PrepareFork, Probe, Report, Started
from server.wire.models import ModelSpec
from server.wire.record import Misfit, Record

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
BACKLOG = 128
MAX_DESCRIPTION_BYTES = 1 << 28
MAX_ANSWER_BYTES = 1 << 24
MAX_FDS = 2
SAFE_R = (4, 4)
"""First version of R that runs no code when it reads an .rds file made to that end (CVE-2024-27322)."""


class TemplateLost(Exception):
    """The template has ended or did not answer in time. Recoverable: start another; its workers live on."""


class Template:
    """One running template."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        control: socket.socket,
        folders: Identities,
        workers_read: bool = False,
        output: Output | None = None,
    ) -> None:
        self._process = process
        self._workers_read = workers_read
        self._output = output
        self._control = control
        self._folders = folders
        self._buffer = bytearray()
        self._fds: deque[int] = deque()
        self._answers: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._turn = asyncio.Lock()
        self.facts: Mapping[str, str] = {}
        self.lost = asyncio.Event()
        self.ending = False
        """Whether the template was asked to end, so that its end is no loss."""
        self.holds: set[str] = set()
        """Keys of the models that a process which it forks now would have."""
        self.read: set[str] = set()
        """Keys of all models that the template has ever read into its own process."""
        self._forks: list[Fork] = []
        self._gone: asyncio.Task[None] | None = None
        self.aside: Aside | None = None
        asyncio.get_running_loop().add_reader(control, self._on_readable)

    @staticmethod
    async def start(
        plan: PoolPlan,
        settings: Settings,
        environment: Path | None,
        models: Iterable[Path],
        scratch: Path,
        aside: bool = False,
    ) -> Template:
        """Start a template and wait until its runtime is up and locked up. Raises TemplateLost.

        `environment` has the packages that come before the server's, if any; `models` are the folders that models are
        read from, `scratch` is where the template and its forks may write. If `aside`, others come first.
        """
        own_scratch = scratch / "template"
        own_scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        folders = identities(folder.absolute() for folder in models)
        ours, theirs = socket.socketpair()
        output, log_end = await Output.open(plan.name)
        process = await asyncio.create_subprocess_exec(
            *(*program(environment), "--runtime", plan.runtime),
            *("--control-fd", str(theirs.fileno()), "--max-payload-bytes", str(settings.max_payload_bytes)),
            *("--max-inflated-bytes", str(settings.max_body_bytes)),
            *("--sandbox", settings.sandbox, "--scratch", str(scratch), "--models", *map(str, folders)),
            *("--memory-bytes", str(ceiling_bytes(settings)), "--max-calls", str(settings.worker_max_calls)),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log_end.fileno(),
            stderr=log_end.fileno(),
            env=for_models(os.environ) | MEMORY_KEPT | of_threads(plan.threads) | {"TMPDIR": str(own_scratch)},
            # A terminal's Ctrl-C goes to a whole group; who leaves when is the supervisor's to decide. Ignoring the
            # signal would not do: R catches it again whenever it waits (R_SelectEx).
            start_new_session=True,
        )
        theirs.close()
        log_end.close()
        ours.setblocking(False)
        template = Template(process, ours, folders, plan.workers_read, output)
        template._gone = asyncio.create_task(template._end_with_it())
        template.aside = Aside(process.pid) if aside else None
        try:
            started = Started.from_data(await asyncio.wait_for(template._answer(), START_TIMEOUT_S))
            if started.failed is not None:
                raise TemplateLost(started.failed)
        except BaseException as e:  # also where the pool is stopped meanwhile
            template.kill()
            template._close()
            if isinstance(e, TimeoutError):
                raise TemplateLost("the runtime did not start in time") from e
            if isinstance(e, Misfit):
                raise TemplateLost(f"the template does not say that it has started: {e}") from e
            raise
        template.facts = started.facts
        if template.r_is_vulnerable:
            log.warning(
                "this R runs code when it reads an .rds file made to that end (CVE-2024-27322); use R 4.4 or newer",
                extra={"r": template.facts["r"]},
            )
        return template

    @property
    def r_is_vulnerable(self) -> bool:
        """Whether this is an R older than 4.4."""
        version = self.facts.get("r")
        return version is not None and tuple(int(part) for part in version.split(".")[:2]) < SAFE_R

    @property
    def folders_replaced(self) -> bool:
        """Whether a model folder was renamed or mounted over since this template started.

        The sandbox admits only the folder that was there at the start, whatever has its name now.
        """
        return identities(self._folders) != self._folders

    @property
    def pid(self) -> int:
        """The template's process id."""
        return self._process.pid

    async def probe(self, specs: Sequence[ModelSpec], scratch: Path, timeout_s: float) -> AsyncIterator[Report]:
        """Describe models in one forked process; a report for each, in order. `scratch` is gone when it ends.

        A report that says that it is the `last` is the last, because its model has changed the process. Otherwise fewer
        reports than models mean that the first model without one crashed. Raises TimeoutError if a model takes longer
        than `timeout_s`; the process is killed.
        """
        _, (pidfd, read_end) = await self._command(Probe(specs, str(scratch)), fds=2)
        pipe = os.fdopen(read_end, "rb", buffering=0)  # the transport owns and closes it
        fork = self._forked(pidfd)
        try:
            reader = asyncio.StreamReader(limit=MAX_DESCRIPTION_BYTES)
            protocol = asyncio.StreamReaderProtocol(reader)
            await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
            for _ in specs:
                line = await asyncio.wait_for(reader.readline(), timeout_s)
                report = Report.from_data(orjson.loads(line)) if line.endswith(b"\n") else None
                if report is not None:
                    yield report
                if report is None or report.last:
                    return
        except ValueError:  # it says what is no report, or a line has no end: as good as crashed
            return
        finally:
            fork.kill()
            await fork.ended()
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    async def load(self, spec: ModelSpec, timeout_s: float) -> tuple[str | None, str | None]:
        """Load one model into the template. Returns why it could not, and what it changed for the others, if so."""
        if not (self._workers_read or spec.loads_in_worker):
            self.read.add(spec.model_key)
        loaded: Loaded
        loaded, _ = await self._command(Load(spec), timeout_s=timeout_s)
        if loaded.failed is None:
            self.holds.add(spec.model_key)
        return loaded.failed, loaded.changed

    async def prepare_fork(self, keep: Sequence[str]) -> None:
        """Drop all models but `keep`, and make ready to fork."""
        await self._command(PrepareFork(keep))
        self.holds &= set(keep)

    async def fork(self, slot: int, socket_path: Path, seed: int, scratch: Path) -> Fork:
        """Fork a worker that listens on `socket_path`; connections made from now on wait in the backlog."""
        command = MakeWorker(slot, seed, str(scratch))
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                with address(socket_path) as name:
                    listener.bind(name)
                listener.listen(BACKLOG)
                _, (pidfd,) = await self._command(command, fds=1, sent=[listener.fileno()])
            return self._forked(pidfd)
        except BaseException:
            socket_path.unlink(missing_ok=True)
            raise

    def _forked(self, pidfd: int) -> Fork:
        """A fork that the template told of. Raises TemplateLost if it is none of the template's.

        A model that was loaded into the template may speak for it, and have us kill whom it cannot kill itself.
        """
        try:
            pid = pid_of(pidfd)
            if pid == ENDED or os.getsid(pid) == self.pid:
                fork = Fork(pid, pidfd)
                self._forks = [*(f for f in self._forks if f.alive), fork]
                return fork
        except ProcessLookupError:
            return Fork(ENDED, pidfd)
        except (OSError, ValueError):
            pass
        os.close(pidfd)
        self._give_up()
        raise TemplateLost("the template named a process that it has not forked")

    async def stop(self) -> None:
        """Let the template end; kill it if it does not."""
        self.ending = True
        self._close()
        try:
            await asyncio.wait_for(self._process.wait(), 2.0)
        except TimeoutError:
            self.kill()
            await self._process.wait()
        if self._gone is not None:
            await self._gone

    async def _end_with_it(self) -> None:
        """When the template has ended, end what models have forked in it; its forks live on."""
        await self._process.wait()
        await asyncio.to_thread(session.end, self.pid, {fork.pid for fork in self._forks if fork.alive})

    @property
    def silent(self) -> bool:
        """Whether the template and all its forks have ended, and all that they have printed is in the log."""
        return self._output is None or self._output.has_ended

    async def heard_out(self) -> None:
        """Wait until all that it and its forks have said is in the log; they have ended, or soon will."""
        if self._output is not None:
            await self._output.ended()

    def kill(self) -> None:
        """End the template at once."""
        if self._process.returncode is None:
            self._process.kill()

    async def _command(
        self, command: Command, fds: int = 0, timeout_s: float = START_TIMEOUT_S, sent: Sequence[int] = ()
    ) -> tuple[Any, list[int]]:
        """Hear an answer to the end, even if who asked has gone: a fork that nobody knows of would stay for ever."""
        asking = asyncio.create_task(self._ask(command, fds, timeout_s, sent))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            with contextlib.suppress(TemplateLost):
                _, received = await asking
                if received:
                    self._forked(received.pop(0)).kill()
                for fd in received:
                    os.close(fd)
            raise

    async def _ask(self, command: Command, fds: int, timeout_s: float, sent: Sequence[int]) -> tuple[Record, list[int]]:
        async with self._turn:
            if self.lost.is_set():
                raise TemplateLost("the template has ended")
            try:
                line = orjson.dumps(command.to_data()) + b"\n"
                done = socket.send_fds(self._control, [line], sent) if sent else 0
                await asyncio.get_running_loop().sock_sendall(self._control, line[done:])
                answer = command.answer.from_data(await asyncio.wait_for(self._answer(), timeout_s))
            except Misfit:
                answer = None
            except TimeoutError as e:
                self._give_up()
                raise TemplateLost("the template did not answer in time") from e
            except OSError as e:
                raise TemplateLost("the template has ended") from e
            if answer is None or len(self._fds) != fds:
                self._give_up()
                raise TemplateLost("the template answered what it was not asked")
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
        self._buffer += data
        lines: list[bytearray] = []
        if b"\n" in data:  # else a line of megabytes would be searched anew for each piece of it
            *lines, self._buffer = self._buffer.split(b"\n")
        try:
            for line in lines:
                self._answers.put_nowait(dict(orjson.loads(line)))
        except (ValueError, TypeError):
            self._lose()
        if len(self._buffer) > MAX_ANSWER_BYTES or len(self._fds) > MAX_FDS or self._answers.qsize() > 1:
            self._lose()

    def _close(self) -> None:
        self.lost.set()
        if self._control.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            while self._fds:
                os.close(self._fds.popleft())

    def _give_up(self) -> None:
        self.kill()
        self._close()

    def _lose(self) -> None:
        """End a template that answers what it was not asked, or without an end."""
        log.error("the template broke the protocol and is ended", extra={"pid": self.pid})
        self._give_up()
        self._answers.put_nowait(None)
