"""The template: starts a runtime, loads every ready model once, and forks probes and workers that share them.

It takes one command at a time from the supervisor, a line of JSON each, and answers with a line; a fork's pidfd (and a
probe's pipe) travel beside the line, so that the supervisor can watch and kill what it did not start itself. The
template has no thread but its own when it forks, and it never scores.

    {"do":"probe","models":[spec…],"scratch":path}  -> {"did":"probe","pid":…}          + pidfd, pipe of JSON lines
    {"do":"load","model":spec}                      -> {"did":"load","failed":reason or null}
    {"do":"settle","keep":[key…]}                   -> {"did":"settle"}
    {"do":"fork","slot":n,"socket":path,"seed":n,"scratch":path} -> {"did":"fork","pid":…} + pidfd

Models that cannot live through a fork (PyTorch on a GPU, a script's threads) are only noted by `load`; each worker
loads them itself before it answers its first ping.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson

from server import logs
from server.workers.loop import Score, WorkerLoop
from server.workers.runtime import LoadFailed, ModelSpec, Runtime

log = logging.getLogger(__name__)

REAP_EVERY_S = 1.0
PR_SET_PDEATHSIG = 1
PROBE_SEED = 1
"""A probe's verdict must not depend on chance."""


class Template:
    """One runtime's template, on its side of the control socket."""

    def __init__(
        self,
        runtime: Runtime,
        score: Score,
        control: socket.socket,
        max_payload_bytes: int,
        max_inflated_bytes: int,
    ) -> None:
        self._runtime = runtime
        self._score = score
        self._control = control
        self._max_payload_bytes = max_payload_bytes
        self._max_inflated_bytes = max_inflated_bytes
        self._models: dict[str, Any] = {}
        self._noted: dict[str, ModelSpec] = {}

    def run(self) -> None:
        """Serve commands until the supervisor closes the control socket."""
        self._say({"did": "start", "facts": dict(self._runtime.start())})
        commands: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "probe": self._probe,
            "load": self._load,
            "settle": self._settle,
            "fork": self._fork,
        }
        for line in self._lines():
            command = orjson.loads(line)
            commands[command["do"]](command)
            _reap()

    def _lines(self) -> Iterable[bytes]:
        buffer = b""
        self._control.settimeout(REAP_EVERY_S)
        while True:
            try:
                data = self._control.recv(1 << 20)
            except TimeoutError:
                _reap()
                continue
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            yield from lines

    def _say(self, answer: Mapping[str, Any], fds: Iterable[int] = ()) -> None:
        line = orjson.dumps(answer) + b"\n"
        fds = list(fds)
        self._control.settimeout(None)
        sent = socket.send_fds(self._control, [line], fds) if fds else self._control.send(line)
        self._control.sendall(line[sent:])
        self._control.settimeout(REAP_EVERY_S)
        for fd in fds:
            os.close(fd)

    # Commands

    def _probe(self, command: Mapping[str, Any]) -> None:
        specs = [ModelSpec(**data) for data in command["models"]]
        read_end, write_end = os.pipe()
        scratch = Path(command["scratch"])
        pid = self._forked(lambda: self._describe_all(specs, scratch, write_end))
        os.close(write_end)
        self._say({"did": "probe", "pid": pid}, [os.pidfd_open(pid), read_end])

    def _describe_all(self, specs: Iterable[ModelSpec], scratch: Path, write_end: int) -> None:
        self._runtime.after_fork(PROBE_SEED, scratch, 0)
        with open(write_end, "wb", buffering=0) as report:
            for spec in specs:
                started = perf_counter()
                answer: dict[str, Any] = {"key": spec.key}
                try:
                    answer["description"] = asdict(self._runtime.describe(spec))
                except LoadFailed as e:
                    answer["code"], answer["reason"] = e.code, str(e)
                answer["seconds"] = perf_counter() - started
                report.write(orjson.dumps(answer) + b"\n")

    def _load(self, command: Mapping[str, Any]) -> None:
        spec = ModelSpec(**command["model"])
        failed = None
        if self._runtime.loads_in_worker:
            self._noted[spec.key] = spec
        else:
            try:
                self._models[spec.key] = self._runtime.load(spec)
            except LoadFailed as e:
                failed = str(e)
        self._say({"did": "load", "failed": failed})

    def _settle(self, command: Mapping[str, Any]) -> None:
        keep = set(command["keep"])
        self._models = {key: model for key, model in self._models.items() if key in keep}
        self._noted = {key: spec for key, spec in self._noted.items() if key in keep}
        gc.unfreeze()
        gc.collect()
        self._runtime.settle()
        gc.freeze()  # a worker's collector never looks at what was there before the fork: the pages stay shared
        self._say({"did": "settle"})

    def _fork(self, command: Mapping[str, Any]) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(command["socket"])
        listener.listen(128)  # before the fork: a connection made at once waits in the backlog
        seed, scratch, slot = int(command["seed"]), Path(command["scratch"]), int(command["slot"])
        pid = self._forked(lambda: self._work(listener, seed, scratch, slot))
        listener.close()
        self._say({"did": "fork", "pid": pid}, [os.pidfd_open(pid)])

    def _work(self, listener: socket.socket, seed: int, scratch: Path, slot: int) -> None:
        self._runtime.after_fork(seed, scratch, slot)
        models = self._models | {key: self._runtime.load(spec) for key, spec in self._noted.items()}
        WorkerLoop(listener, models, self._score, self._max_payload_bytes, self._max_inflated_bytes).run()

    def _forked(self, work: Callable[[], None]) -> int:
        """Fork; the child works and leaves by `os._exit`, past every exit hook that it shares with the template."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            self._control.close()
            work()
            code = 0
        except BaseException:
            log.exception("a fork ended by an error")
        finally:
            os._exit(code)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _runtime(name: str) -> Runtime:
    """Each in its own module, which alone imports the runtime's libraries."""
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


def _score(runtime: str) -> Score:
    """A script's process is spared the codecs and their libraries, which the script may want in other versions."""
    if runtime == "script":
        from server.workers.raw import score as score_raw

        return score_raw
    from server.workers.score import score

    return score


def main() -> None:
    """`python -m server.workers.template`: started by the supervisor, with the control socket as a descriptor."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--max-payload-bytes", type=int, required=True)
    parser.add_argument("--max-inflated-bytes", type=int, required=True)
    arguments = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a template without a supervisor serves nobody
    logs.configure()
    control = socket.socket(fileno=arguments.control_fd)
    runtime, score = _runtime(arguments.runtime), _score(arguments.runtime)
    Template(runtime, score, control, arguments.max_payload_bytes, arguments.max_inflated_bytes).run()
    os._exit(0)


if __name__ == "__main__":
    main()
