"""A real Tandem for tests: the `tandem` command in a process of its own, on free ports, with folders of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import orjson

from auth.setup import issue_for

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 120.0
LONGEST_PAUSE_S = 0.1
TEMPLATE = re.compile(rb"server\.workers\.template|server/workers/start\.py")
"""What a template was started as, and what its forks are called too."""
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For httpx, which else reads the machine's authorities for each request, though these servers speak no TLS."""
SECRET = re.compile(rb"tdm_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}")
"""An API key or a signed token, whole. No server of the tests may have written one when it stops."""


def eventually(check: Callable[[], Any], timeout_s: float = 60.0, every_s: float = 0.02) -> Any:
    """Call `check` until it gives something true; its value. Fails after the deadline with the last error or value.

    The longer it takes, the longer are the pauses, because what is waited for needs the processor too.
    """
    deadline = time.monotonic() + timeout_s
    last: object = None
    pause_s = every_s
    while time.monotonic() < deadline:
        try:
            last = check()
        except (AssertionError, httpx.HTTPError, KeyError, ValueError) as error:  # a list may be empty yet
            last = error
        else:
            if last:
                return last
        time.sleep(pause_s)
        pause_s = max(every_s, min(1.1 * pause_s, LONGEST_PAUSE_S))
    raise AssertionError(f"did not come true within {timeout_s} s; last: {last!r}")


def run_r(code: str, *arguments: str) -> str:
    """Run R code in a process of its own; what it printed. `commandArgs(TRUE)` has the arguments."""
    command = ["Rscript", "--vanilla", "-e", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def saved_by_r(code: str) -> bytes:
    """The file in which R saves the value of some code. R is started once for all tests that ask for the same."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.rds")
        run_r(f"saveRDS({{{code}}}, commandArgs(TRUE))", str(path))
        return path.read_bytes()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Tandem:
    """One running server. `settings` are setting names without their prefix, in lower case."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.r_models = folder / "r_models"
        self.r_models.mkdir(parents=True, exist_ok=True)
        self.python_models = folder / "python_models"
        self.python_models.mkdir(exist_ok=True)
        self.port = free_port()
        self.metrics_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.metrics_url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        given = {
            "port": self.port,
            "metrics_port": self.metrics_port,
            "data": folder / "data",
            "r_models": self.r_models,
            "python_models": self.python_models,
            "r_workers": 2,
            "settle_s": 0.1,
        } | settings
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("TANDEM_")}
        self.environment |= {f"TANDEM_{name.upper()}": str(value) for name, value in given.items()}
        self.log_path = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self._tokens: dict[str, str] = {}

    def start(self, wait: bool = True, group: bool = False) -> Tandem:
        """Start; `group` gives it a process group of its own, as a terminal would."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "server.cli", "serve"],
                cwd=self.folder,
                env=self.environment | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0 if group else None,
            )
        if wait:
            try:
                eventually(self.ready, START_TIMEOUT_S)
            except AssertionError:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"did not start:\n{self.log_path.read_text()[-3000:]}") from None
        return self

    def ready(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log_path.read_text()[-3000:]
        return httpx.get(f"{self.url}/health/ready", verify=PLAIN).status_code == 200

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM to the supervisor alone; its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        assert (found := SECRET.search(self.log_path.read_bytes())) is None, f"a secret is in the log: {found!r}"
        return code

    def command(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run another `tandem` command with the same settings."""
        return subprocess.run(
            [sys.executable, "-m", "server.cli", *arguments],
            cwd=self.folder,
            env=self.environment | {"PYTHONPATH": str(ROOT)},
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
        )

    # Asking

    def token(self, user: str = "admin") -> str:
        """An access token, made as `tandem token` makes one, but without another process."""
        if user not in self._tokens:
            given = [self.environment.get(f"TANDEM_{name}") for name in ("ACCOUNTS", "TOKEN_KEY")]
            files = [None if path is None else Path(path) for path in given]
            data, database = Path(self.environment["TANDEM_DATA"]), self.environment.get("TANDEM_DATABASE")
            self._tokens[user] = issue_for(data, user, time.time(), *files, database)
        return self._tokens[user]

    def headers(self, user: str = "admin") -> dict[str, str]:
        return {"authorization": f"Bearer {self.token(user)}"}

    def get(self, path: str, user: str | None = "admin", **more: Any) -> httpx.Response:
        headers = self.headers(user) if user else {}
        return httpx.get(self.url + path, headers=headers | more.pop("headers", {}), verify=PLAIN, **more)

    def score(self, model: str, body: object, user: str | None = "admin", **more: Any) -> httpx.Response:
        """POST to a model's scoring route; `body` is JSON data, or bytes as they are."""
        headers = {"content-type": "application/json"} | (self.headers(user) if user else {}) | more.pop("headers", {})
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        path = more.pop("path", f"/v1/models/{model}/score")
        return httpx.post(self.url + path, content=content, headers=headers, timeout=60, verify=PLAIN, **more)

    def model(self, name: str) -> dict[str, Any]:
        """The model's details; {} while there is no such model."""
        reply = self.get(f"/v1/models/{name}")
        return reply.json() if reply.status_code == 200 else {}

    def version(self, name: str, state: str) -> dict[str, Any] | None:
        """The model's first version in that state."""
        return next((v for v in self.model(name).get("versions", []) if v["state"] == state), None)

    def drop(self, name: str, r_code: str) -> None:
        """Have R evaluate `r_code` and save its value as `<name>.rds`, as an analyst would."""
        (self.r_models / f"{name}.rds").write_bytes(saved_by_r(r_code))

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        total = 0.0
        for line in httpx.get(self.metrics_url, verify=PLAIN).text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
                total += float(value)
        return total

    def log_lines(self) -> list[dict[str, Any]]:
        """The log's JSON lines; the last line counts once it is whole, as a process may be writing it."""
        *lines, _ = self.log_path.read_bytes().split(b"\n")
        return [orjson.loads(line) for line in lines if line.startswith(b"{")]

    def processes(self, kind: str) -> list[int]:
        """Process ids below the supervisor: kind is 'template', 'worker' or 'web'."""
        assert self.process is not None
        return sorted(pid for pid in descendants(self.process.pid) if _kind(pid) == kind)


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:  # it has just ended
        return found
    for task in tasks:
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _kind(pid: int) -> str | None:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        above = Path(f"/proc/{parent_of(pid)}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    if TEMPLATE.search(command):
        return "worker" if TEMPLATE.search(above) else "template"
    return "web" if b"gunicorn" in command and b"gunicorn" in above else None
