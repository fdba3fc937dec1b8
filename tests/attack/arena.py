"""A running server among whose models are hostile ones, what they are after, and how each of their payloads ended."""

from __future__ import annotations

import http.server
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.linear_model import LinearRegression

from tests.attack.payloads import R_NAMES, Targets, drop_all, payloads, plain_outcome
from tests.harness.tandem import Tandem, eventually

SPEED = {"rows": [{"speed": 10}]}
X = {"rows": [{"x": 2}]}
SCRIPT_TIMES = ("import", "init", "run")
CARRIERS = (
    *("pickle as it is read", "pickle as it is called"),
    *(f"script at {when}" for when in SCRIPT_TIMES),
    "R as it is called",
    *(f"R as the {name} is read" for name in R_NAMES[1:]),
)
"""Where code of a model runs."""


class Listener:
    """Answers `hello` to whoever calls, and counts them."""

    def __init__(self) -> None:
        calls: list[str] = []
        self.calls = calls

        class Handler(http.server.BaseHTTPRequestHandler):
            def setup(self) -> None:
                calls.append(self.client_address[0])
                super().setup()

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"hello\n")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Arena:
    """Asks the models how their payloads ended. `canaries` is where this process finds what the server has there."""

    def __init__(
        self,
        server: Any,
        targets: Targets,
        listener: Listener,
        sandbox: bool,
        canaries: Path,
        log: Callable[[], str],
    ) -> None:
        self.server = server
        self.targets = targets
        self.listener = listener
        self.sandbox = sandbox
        self.log = log
        self._canaries = canaries
        self.before = self.canaries()

    def settled(self) -> bool:
        """Whether the models that answer serve, and those that only attack have been looked at."""
        states = {model["model"]: model["state"] for model in self.server.get("/v1/models").json()}
        ready = {name for name, state in states.items() if state == "ready"}
        return ready >= {"pickle", "script", "called"} and "loading" not in states.values()

    def ended(self, carrier: str) -> dict[str, str]:
        """How each payload ended that this carrier ran."""
        kind, _, when = carrier.partition(" ")
        if kind == "pickle":
            return self._pickle["read" if when.endswith("read") else "called"]
        if kind == "script":
            return self._script[when.removeprefix("at ")]
        return self._called if carrier == "R as it is called" else self._read(carrier.split()[-3])

    @cached_property
    def _pickle(self) -> dict[str, dict[str, str]]:
        names = [*payloads("python")]
        asked = {"called": range(1, len(names) + 1), "read": range(-1, -len(names) - 1, -1)}
        return {when: self._numbered("pickle", "x0", names, numbers) for when, numbers in asked.items()}

    @cached_property
    def _script(self) -> dict[str, dict[str, str]]:
        return self._score("script", {})

    @cached_property
    def _called(self) -> dict[str, str]:
        names = [*payloads("r")]
        return self._numbered("called", "x", names, range(1, len(names) + 1))

    def _numbered(self, model: str, column: str, names: list[str], numbers: range) -> dict[str, str]:
        answer = self._score(model, {"rows": [{column: number} for number in numbers]})
        return dict(zip(names, answer["predictions"], strict=True))

    def _read(self, name: str) -> dict[str, str]:
        """What a model said in the log, which comes a moment later; the last process's word."""
        said = re.compile(rf"attack {name}: ([\w=. -]+)")
        lines = eventually(lambda: said.findall(self.log()))
        return dict(pair.split("=") for pair in lines[-1].split())

    def _score(self, model: str, body: object) -> dict[str, Any]:
        reply = self.server.score(model, body)
        assert reply.status_code == 200, (model, reply.text)
        answer: dict[str, Any] = reply.json()
        return answer

    def wrong(self, carrier: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        """The payloads that ended otherwise than their files say: how, and how they should have.

        Without a sandbox, what this machine itself refuses to any process is no fault.
        """
        language = "r" if carrier.startswith("R ") else "python"
        at_load = carrier == "pickle as it is read"
        found = {}
        for name, end in self.ended(carrier).items():
            payload = payloads(language)[name]
            expected = payload.expected(self.sandbox, at_load)
            if end.partition(":")[0] not in expected and not self._machine(language, name, end):
                found[name] = (end, expected)
        return found

    def _machine(self, language: str, name: str, end: str) -> bool:
        if self.sandbox or language == "r":
            return False
        return plain_outcome(payloads(language)[name], self.targets) == end

    def canaries(self) -> dict[str, tuple[object, ...]]:
        """All that can be changed of the files that payloads are after."""
        return {str(path): _state(path) for path in sorted(self._canaries.iterdir())}


def _state(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return path.read_text(), status.st_mode, status.st_uid, status.st_gid, status.st_nlink, attributes


def targets_in(folder: Path, tandem: Tandem, port: int) -> Targets:
    """What there is to attack in a server's folders: a canary for each payload, and a place for loot."""
    data, loot = folder / "data", folder / "loot"
    canaries = data / "canaries"
    for made in (data, canaries, loot):
        made.mkdir(0o700)
    for name in {*payloads("python"), *payloads("r")}:
        (canaries / name).touch(0o600)
        (canaries / name).write_text("secret")
    return Targets(
        data=str(data),
        key=str(data / "signing.key"),
        canaries=str(canaries),
        loot=str(loot),
        models=(str(tandem.r_models), str(tandem.python_models)),
        library_file=str(tandem.r_models / "attack.so"),
        port=port,
    )


@contextmanager
def arena(folder: Path, sandbox: str, **settings: object) -> Iterator[Arena]:
    """A server with the hostile models, and two that mean well."""
    listener = Listener()
    tandem = Tandem(folder, r_workers=1, python_workers=1, sandbox=sandbox, **settings)
    targets = targets_in(folder, tandem, listener.port)
    drop_all(folder, tandem.r_models, tandem.python_models, targets)
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    line = LinearRegression().fit(pd.DataFrame({"x": [0.0, 1.0]}), [0.0, 2.0])
    joblib.dump(line, tandem.python_models / "line.joblib")
    made = Arena(tandem, targets, listener, sandbox != "off", Path(targets.canaries), tandem.log_path.read_text)
    try:
        tandem.start()
        eventually(made.settled, timeout_s=120)
        yield made
    finally:
        code = tandem.stop() if tandem.process is not None else 0
        listener.close()
    assert code == 0
