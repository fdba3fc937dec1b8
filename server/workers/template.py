"""The template: starts a runtime, loads every ready model once, and forks probes and workers that share them.

It takes one command at a time from the supervisor, a line of JSON each, and answers with a line. The template has no
thread but its own when it forks, and it never scores.

Commands and answers are those of `server/wire/commands.py`. When the template says that it has started, it has locked
itself up (server/machine/sandbox.py), so that it makes no socket, and no model file has been read before.

Models that cannot live through a fork (PyTorch on a GPU, a script's threads, LightGBM's) are only noted by `load`; each
worker loads them itself before it answers its first ping.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson

from server import logs
from server.machine import sandbox
from server.wire.commands import (
    Command,
    Forked,
    ForkPrepared,
    Load,
    Loaded,
    MakeWorker,
    PrepareFork,
    Probe,
    Probing,
    Report,
    Started,
    command,
)
from server.wire.models import ModelSpec
from server.wire.record import Record
from server.workers import start
from server.workers.errors import LoadFailed
from server.workers.loop import Score, WorkerLoop
from server.workers.runtime import Runtime
from server.workers.traces import Control, ProcessPart, Traces, Watch, beyond, reason
from server.workers.upkeep import Budget, ForkLimits

log = logging.getLogger(__name__)

REAP_EVERY_S = 1.0
PROBE_SEED = 1
"""Seed of every probe: its verdict must not depend on chance."""


class Template:
    """One runtime's template, on its side of the control socket."""

    def __init__(
        self,
        runtime: Runtime,
        score: Score,
        control: socket.socket,
        max_payload_bytes: int,
        max_inflated_bytes: int,
        lock: Callable[[Runtime], str],
        budget: Budget,
    ) -> None:
        self._runtime = runtime
        self._score = score
        self._control = control
        self._max_payload_bytes = max_payload_bytes
        self._max_inflated_bytes = max_inflated_bytes
        self._lock = lock
        self._budget = budget
        self._received: deque[int] = deque()
        self._models: dict[str, Any] = {}
        self._noted: dict[str, ModelSpec] = {}
        self._harmless: set[str] = set()
        """What the packages of the models that were loaded may set."""

    def run(self) -> None:
        """Serve commands until the supervisor closes the control socket."""
        facts = dict(self._runtime.start())
        try:
            facts["sandbox"] = self._lock(self._runtime)
        except sandbox.SandboxFailed as e:
            self._say(Started(failed=f"the sandbox that is required cannot be had: {e}"))
            return
        self._say(Started(facts=facts))
        for line in self._lines():
            self._do(command(orjson.loads(line)))
            _reap()

    def _do(self, asked: Command) -> None:
        match asked:
            case Probe():
                self._probe(asked)
            case Load():
                self._load(asked)
            case PrepareFork():
                self._prepare_fork(asked)
            case MakeWorker():
                self._fork(asked)

    def _lines(self) -> Iterable[bytes]:
        buffer = b""
        self._control.settimeout(REAP_EVERY_S)
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._control, 1 << 20, 1)
            except TimeoutError:
                _reap()
                continue
            if not data:
                return
            self._received.extend(fds)
            *lines, buffer = (buffer + data).split(b"\n")
            yield from lines

    def _say(self, answer: Record, fds: Iterable[int] = ()) -> None:
        line = _line(answer)
        fds = list(fds)
        self._control.settimeout(None)
        sent = socket.send_fds(self._control, [line], fds) if fds else self._control.send(line)
        self._control.sendall(line[sent:])
        self._control.settimeout(REAP_EVERY_S)
        for fd in fds:
            os.close(fd)

    # Commands

    def _probe(self, asked: Probe) -> None:
        read_end, write_end = os.pipe()
        pid = self._forked(lambda: self._describe_all(asked.models, Path(asked.scratch), write_end))
        os.close(write_end)
        self._say(Probing(pid), [os.pidfd_open(pid), read_end])

    def _describe_all(self, specs: Iterable[ModelSpec], scratch: Path, write_end: int) -> None:
        self._enter(PROBE_SEED, scratch, 0).limit(self._runtime, [spec.path for spec in specs])
        traces = self._traces()
        control = Control(traces) if traces else None
        with open(write_end, "wb", buffering=0) as report:
            for spec in specs:
                traces.note(closely=True)
                found = self._described(spec)
                changed, harmless = control.left() if control is not None else ([], [])
                last = bool(changed)
                if found.description is not None:
                    last |= found.description.loads_in_worker
                    isolated = reason(changed) if changed else found.description.isolated
                    described = replace(found.description, isolated=isolated, harmless=harmless)
                    found = replace(found, description=described)
                report.write(_line(replace(found, last=last)))
                if last:  # the next model must not meet it
                    return

    def _described(self, spec: ModelSpec) -> Report:
        started = perf_counter()
        try:
            description = self._runtime.describe(spec)
        except LoadFailed as e:
            return Report(spec.model_key, perf_counter() - started, code=e.code, reason=str(e))
        return Report(spec.model_key, perf_counter() - started, description)

    def _traces(self) -> Traces:
        shared = self._runtime.shared()
        return Traces([ProcessPart(), *shared] if shared else [])

    def _load(self, asked: Load) -> None:
        spec = asked.model
        failed = changed = None
        if self._runtime.loads_in_worker or spec.loads_in_worker:
            self._noted[spec.model_key] = spec
        else:
            traces = self._traces()
            traces.note(closely=True)
            try:
                self._models[spec.model_key] = self._runtime.load(spec)
            except LoadFailed as e:
                failed = str(e)
            left = beyond(traces.changes(), spec.harmless)
            changed = reason(left) if left else None
        self._harmless |= set(spec.harmless)
        self._say(Loaded(failed, changed))

    def _prepare_fork(self, asked: PrepareFork) -> None:
        keep = set(asked.keep)
        self._models = {key: model for key, model in self._models.items() if key in keep}
        self._noted = {key: spec for key, spec in self._noted.items() if key in keep}
        gc.unfreeze()
        gc.collect()
        self._runtime.before_fork()
        gc.freeze()  # a worker's collector never looks at what was there before the fork: the pages stay shared
        self._say(ForkPrepared())

    def _fork(self, asked: MakeWorker) -> None:
        listener = socket.socket(fileno=self._received.popleft())
        pid = self._forked(lambda: self._work(listener, asked.seed, Path(asked.scratch), asked.slot))
        listener.close()
        self._say(Forked(pid), [os.pidfd_open(pid)])

    def _work(self, listener: socket.socket, seed: int, scratch: Path, slot: int) -> None:
        limits = self._enter(seed, scratch, slot)
        limits.limit(self._runtime, [spec.path for spec in self._noted.values()])
        models = self._models | {key: self._runtime.load(spec) for key, spec in self._noted.items()}
        if self._noted:
            limits.limit(self._runtime)
        upkeep = limits.upkeep(self._runtime)
        traces = self._traces()
        watch = Watch(traces, self._harmless) if traces and len(models) > 1 else None  # else there is nobody to disturb
        WorkerLoop(
            listener, models, self._score, self._max_payload_bytes, self._max_inflated_bytes, upkeep, watch
        ).run()

    def _enter(self, seed: int, scratch: Path, slot: int) -> ForkLimits:
        """Begin a fork's own life: its folder, its sandbox, its random numbers; what is said of its memory."""
        scratch.mkdir(mode=0o700, exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
        sandbox.lock_fork(scratch)
        self._runtime.after_fork(seed, scratch, slot)
        return ForkLimits(self._budget)

    def _forked(self, work: Callable[[], None]) -> int:
        """Fork; the child works and leaves by `os._exit`, past every exit hook that it shares with the template."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            os.setpgid(0, 0)  # whatever it forks in turn is ended with it
            self._control.close()
            work()
            code = 0
        except BaseException:
            log.exception("a fork ended by an error")
        finally:
            os._exit(code)


def _line(record: Record) -> bytes:
    return orjson.dumps(record.to_data()) + b"\n"


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _missing(runtime: str) -> str | None:
    """What a runtime cannot do without and an image may leave out, if it is not here."""
    if runtime == "torch" and find_spec("torch") is None:
        return "PyTorch is not installed on this server"
    if runtime == "r" and "R_HOME" not in os.environ and shutil.which("R") is None:
        return "R is not installed on this server"
    return None


def _runtime(name: str) -> Runtime:
    """Make the runtime of this name, from its own module, which alone imports the runtime's libraries."""
    match name:
        case "r":
            from server.workers.r.runtime import RRuntime

            return RRuntime()
        case "python":
            from server.workers.python.runtime import PythonRuntime

            return PythonRuntime()
        case "torch":
            from server.workers.torch.runtime import TorchRuntime

            return TorchRuntime()
        case "script":
            from server.workers.script.runtime import ScriptRuntime

            return ScriptRuntime()
    raise SystemExit(f"no runtime is called {name}")


def _locked(given: argparse.Namespace, runtime: Runtime) -> str:
    """Lock this process up as far as is asked for and possible; how far, in words. Raises SandboxFailed if required."""
    gpus = runtime.name == "torch"  # whose libraries make files in memory
    return sandbox.as_asked(
        given.sandbox,
        lambda: sandbox.lock_template(
            given.models, runtime.folders(), given.scratch, not runtime.loads_in_worker, gpus
        ),
    )


def _score(runtime: str) -> Score:
    """A script's process is spared the codecs and their libraries, which the script may want in other versions."""
    if runtime == "script":
        from server.workers.score_script import score as score_raw

        return score_raw
    from server.workers.codecs.arrow import prepare
    from server.workers.score import score

    prepare()
    return score


def main() -> None:
    """`python -m server.workers.template`: started by the supervisor, with the control socket as a descriptor."""
    given = start.arguments().parse_args()
    start.bind_to_parent()
    serve(given, partial(_locked, given))


def serve(given: argparse.Namespace, lock: Callable[[Runtime], str]) -> None:
    """Serve as a template until the process ends. `lock` puts it into the sandbox, or says how far it is in one."""
    logs.configure()
    control = socket.socket(fileno=given.control_fd)
    missing = _missing(given.runtime)
    if missing is not None:
        control.sendall(_line(Started(missing)))
        return
    runtime, score = _runtime(given.runtime), _score(given.runtime)
    budget = Budget(given.memory_bytes, given.max_calls)
    Template(runtime, score, control, given.max_payload_bytes, given.max_inflated_bytes, lock, budget).run()
    os._exit(0)


if __name__ == "__main__":
    main()
