"""README.md's two commands on a machine that has nothing: `make run` and a part of `make test`, in a bare Debian.

The container holds what debootstrap makes, `make` and, for a user, `sudo`; its caches are empty. How pip and apt reach
their indexes from this machine is passed in.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.ship import AUTHORITIES, FOLDER, bare_debian, podman
from tests.harness.tandem import ROOT, eventually, free_port

SET_UP_TIMEOUT_S = 2400.0
LONGEST_SILENCE_S = 15.0
HOME = "/home/analyst"
pytestmark = [pytest.mark.fresh, pytest.mark.timeout(3 * SET_UP_TIMEOUT_S)]

MODELS = ("am", "boston", "digits", "faq", "iris", "iris_logistic", "mpg")


def pip_settings() -> tuple[str, list[str]]:
    """This machine's settings of pip as a file, and the podman options for the folders that they name."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    settings = dict(re.findall(r"^(?:global|:env:)\.([a-z-]+)='(.*)'$", said, re.MULTILINE)) | {"cert": "/run/ca.crt"}
    paths = {word for key, value in settings.items() if key != "cert" for word in value.split()}
    folders = {Path(w.removeprefix("file://")).parent for w in paths if w.startswith("file:///")}
    folders |= {Path(w) for w in paths if w.startswith("/")}
    volumes = [f"--volume={path}:{path}:ro" for path in sorted(folders) if path.exists()]
    return "\n".join(["[global]", *(f"{key} = {value}" for key, value in settings.items())]) + "\n", volumes


class Machine:
    """A bare Debian with a checkout in the home of `user`, which is root or may use sudo."""

    def __init__(self, suite: str, user: str, folder: Path) -> None:
        self.user = user
        self.port = free_port()
        self.checkout = folder / "tandem"
        self.longest_silence_s = 0.0
        self._log = folder / "log"
        check_out(self.checkout)
        pip, volumes = pip_settings()
        (folder / "pip.conf").write_text(pip)
        ports = {"TANDEM_PORT": self.port, "TANDEM_METRICS_PORT": free_port()}  # the network is this machine's
        self.id = podman(
            *("run", "--detach", "--init", "--pull=never", "--network=host"),
            *(f"--volume={folder / 'pip.conf'}:/etc/pip.conf:ro", f"--volume={AUTHORITIES}:/run/ca.crt:ro", *volumes),
            f"--volume={self.checkout}:{HOME}/tandem",
            *(f"--env={name}={value}" for name, value in ports.items()),
            *(bare_debian(suite), "sleep", "infinity"),
        )

    def prepare(self) -> None:
        """Install `make`, which the commands need, and give a user who is not root `sudo`."""
        wanted = "make" if self.user == "root" else "make sudo"
        self.as_root(f"apt-get -qq update && apt-get -qqy install --no-install-recommends {wanted} && apt-get clean")
        if self.user != "root":
            self.as_root(
                f"useradd --uid 1000 {self.user} && chown -R {self.user} {HOME} &&"
                f"echo '{self.user} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{self.user}"
            )

    def as_root(self, command: str) -> str:
        return podman("exec", "--env=DEBIAN_FRONTEND=noninteractive", self.id, "sh", "-c", command, timeout_s=600)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Run a command in the checkout; what it prints goes into the log, and its silences are measured."""
        user = (f"--user={self.user}", f"--workdir={HOME}/tandem", f"--env=HOME={HOME}")
        running = subprocess.Popen(
            ["podman", "exec", *user, self.id, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._follow, args=(running,), daemon=True).start()
        return running

    def _follow(self, running: subprocess.Popen[str]) -> None:
        assert running.stdout
        last = time.monotonic()
        with running.stdout, self._log.open("a", buffering=1) as log:
            for line in running.stdout:
                now = time.monotonic()
                self.longest_silence_s = max(self.longest_silence_s, now - last)
                last = now
                log.write(f"{time.strftime('%X')} {line}")

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def megabytes(self) -> int:
        """What the machine and its checkout take on the disk."""
        return sum(int(line.split()[0]) for line in self.as_root(f"du -xsm / {HOME}/tandem").splitlines())

    def get(self, path: str, token: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers)

    def remove(self) -> None:
        podman("rm", "--force", "--time=0", self.id, timeout_s=600)


def check_out(folder: Path) -> None:
    """A copy of what git knows of this checkout, changed files as they are."""
    folder.mkdir()
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


@pytest.fixture(params=["bookworm", "trixie"])
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["root", "analyst"])
def machine(request: pytest.FixtureRequest, suite: str) -> Iterator[Machine]:
    podman("info")
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        machine = Machine(suite, request.param, Path(folder))
        try:
            machine.prepare()
            yield machine
        finally:
            machine.remove()


def test_a_bare_debian_serves_the_examples_and_passes_tests(machine: Machine, suite: str) -> None:
    before = machine.megabytes()
    started = time.monotonic()
    silence = serves_the_examples(machine)
    ready = time.monotonic()
    used = machine.megabytes() - before
    passes_tests(machine)
    sys.stdout.write(
        f"\n{suite} as {machine.user}: ready after {ready - started:.0f} s; {used} MB on the disk; longest silence "
        f"{silence:.0f} s; tests set up and run in {time.monotonic() - ready:.0f} s more\n"
    )
    assert silence < LONGEST_SILENCE_S, machine.log()


def serves_the_examples(machine: Machine) -> float:
    """Run `make run` until every example model is ready, and end it; the longest silence until then."""
    running = machine.start("make", "run")

    def ready() -> bool:
        assert running.poll() is None or pytest.fail(f"make run ended:\n{machine.log()[-6000:]}")
        return machine.get("/health/ready").status_code == 200

    try:
        eventually(ready, SET_UP_TIMEOUT_S, every_s=3)
        silence = machine.longest_silence_s
        eventually(functools.partial(all_ready, machine, sign_in(machine)), 300, every_s=3)
    finally:
        machine.as_root("kill -INT $(grep -lsz '^serve$' /proc/[0-9]*/cmdline | cut -d/ -f3 | sort -n | head -n 1)")
    assert running.wait(60) == 0, machine.log()[-6000:]
    return silence


def sign_in(machine: Machine) -> str:
    """A token for the account of the first start."""
    password = (machine.checkout / ".tandem/admin-password").read_text().strip()
    form = {"grant_type": "password", "username": "admin", "password": password}
    return str(httpx.post(f"http://127.0.0.1:{machine.port}/auth/token", data=form).json()["access_token"])


def all_ready(machine: Machine, token: str) -> bool:
    models = machine.get("/v1/models", token).json()
    assert [m["model"] for m in models if m["state"] == "ready"] == list(MODELS), models
    return True


def passes_tests(machine: Machine) -> None:
    """Run a short part of `make test`."""
    running = machine.start("make", "test", "TESTTHAT=^lm", "TESTS=tests/r_models tests/python_models")
    assert running.wait(SET_UP_TIMEOUT_S) == 0, machine.log()[-6000:]
    assert re.search(r"\d+ passed", machine.log()), machine.log()[-6000:]
