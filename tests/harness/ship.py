"""The real images, built once for all tests that are marked `ship`, and containers run as Kubernetes would run them.

No registry is asked for anything: the base images are made by debootstrap, from the mirror that apt uses here, and kept
for a day. Podman's layers are the cache: where nothing changed, a build takes seconds. It takes root, as podman does.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import yaml

from tests.harness.tandem import ROOT, eventually, free_port

FOLDER = Path(tempfile.gettempdir()) / "tandem-ship"
CPU = "localhost/tandem-cpu:test"
GPU = "localhost/tandem-gpu:test"
BASE_MAX_AGE_S = 24 * 3600
DEBIAN_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
TORCH = (ROOT / "requirements-torch.txt").read_text().splitlines()[-1]

PODMAN = """\
# runc, because crun cannot be used where cgroups are hybrid; limits that root may set without CAP_SYS_RESOURCE.
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
"""
SLIMMED = ("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man")
"""What Debian's own slim images leave out too."""

START_TIMEOUT_S = 120.0


def podman(*arguments: str, timeout_s: float = 120.0) -> str:
    """Run podman; what it printed. Fails with its words."""
    done = subprocess.run(
        ["podman", *arguments], env=_environment(), capture_output=True, text=True, timeout=timeout_s, errors="replace"
    )
    assert done.returncode == 0, f"podman {arguments[0]}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()


@functools.cache
def _environment() -> dict[str, str]:
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    return os.environ | {"CONTAINERS_CONF": str(_file("containers.conf", PODMAN))}


def _file(name: str, text: str) -> Path:
    """A file with that text; whole at any time, for others may be reading it."""
    path = FOLDER / name
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(text)
    return new.replace(path)


# Images


@functools.cache
def image() -> str:
    """The image of target `cpu`, on Debian 13 and without PyTorch; its name."""
    with _alone("trixie"):
        _build(CPU, "cpu", _base("trixie"))
    return CPU


@functools.cache
def gpu_image() -> str:
    """The image of target `gpu`, with the PyTorch that is at hand: that for CPUs and Debian 12's Python; its name."""
    with _alone("bookworm"):
        wheels = _torch_wheel()
        options = f"--no-index --find-links /tmp/{wheels.name}"
        torch = (f"--build-arg=TORCH={TORCH}", f"--build-arg=TORCH_OPTIONS={options}")
        _build(GPU, "gpu", _base("bookworm"), *torch, f"--volume={wheels}:/tmp/{wheels.name}:ro")
    return GPU


def _build(name: str, target: str, base: str, *more: str) -> None:
    """Build an image with this machine's settings for pip, which do not get into it."""
    pip = _file("pip.conf", "\n".join(["[global]", "cert = /run/secrets/ca.crt", *_index()]) + "\n")
    podman(
        *("build", "--quiet", "--network=host", "--pull=never", "--layers", "--jobs=2", f"--target={target}"),
        *(f"--secret=id=pip.conf,src={pip}", f"--secret=id=ca.crt,src={AUTHORITIES}"),
        *(f"--build-arg=BASE={base}", f"--build-arg=REVISION={revision()}", *more),
        *(f"--tag={name}", f"--file={ROOT / 'docker/Dockerfile'}", str(ROOT)),
        timeout_s=900,
    )


def bare_debian(suite: str) -> str:
    """A slim Debian of that name as an image; the image's name."""
    with _alone(suite):
        return _base(suite)


def _base(suite: str) -> str:
    """A slim Debian of that name, made anew if it is older than a day."""
    name = f"localhost/debian:{suite}-slim"
    made = orjson.loads(podman("images", "--format=json", f"--filter=reference={name}"))
    if made and time.time() - made[0]["Created"] < BASE_MAX_AGE_S:
        return name
    sources = DEBIAN_SOURCES.read_text()
    mirror = re.search(r"^URIs: (\S+)", sources, re.MULTILINE)
    here = re.search(r"^Suites: (\w+)", sources, re.MULTILINE)
    assert mirror and here, f"{DEBIAN_SOURCES} names no mirror"
    root = Path(tempfile.mkdtemp(dir=FOLDER))
    try:
        _run("debootstrap", "--variant=minbase", suite, str(root), mirror[1])
        (root / "etc/apt/sources.list").write_text("")
        (root / DEBIAN_SOURCES.relative_to("/")).write_text(sources.replace(here[1], suite))
        (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(
            "\n".join(["force-unsafe-io", *(f"path-exclude /{folder}/*" for folder in SLIMMED)]) + "\n"
        )
        for folder in ("var/lib/apt/lists", "var/cache/apt", *SLIMMED):
            shutil.rmtree(root / folder)
            (root / folder).mkdir()
        archive = FOLDER / f"{suite}.tar"
        _run("tar", "--numeric-owner", "-C", str(root), "-cf", str(archive), ".")
        podman("import", str(archive), name)
        archive.unlink()
    finally:
        shutil.rmtree(root)
    if made:  # what was built on the old one is of no use any more
        podman("image", "prune", "--force", "--filter=label=org.opencontainers.image.title=Tandem")
    return name


def _torch_wheel() -> Path:
    """The folder with PyTorch as pip here finds it for Debian 12's Python; without what the lock file has already."""
    folder = FOLDER / "wheels"
    version = TORCH.rpartition("=")[2]
    if not list(folder.glob(f"torch-{version}*.whl")):
        for_debian = ("--python-version=3.11", "--only-binary=:all:", "--no-deps")
        _run(sys.executable, "-m", "pip", "download", "-q", *for_debian, "-d", str(folder), TORCH)
    return folder


def _index() -> list[str]:
    """The line of pip's settings that names another index than its own, if one does here."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    index = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return [f"index-url = {index}"] if index else []


@functools.cache
def revision() -> str:
    """The commit that the images are made from; what has been changed since is in them too."""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-3000:]}"


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Of two test sessions that want the same image, the second waits and finds it done."""
    _environment()
    with (FOLDER / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# Containers


@dataclass(frozen=True, slots=True)
class Process:
    """A process as this machine numbers it; `state` is R, S or, once it has ended and nobody waited for it, Z."""

    pid: int
    parent: int
    state: str
    command: str


def _processes() -> Iterator[Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has gone
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_text().replace("\0", " ")
            yield Process(int(folder.name), int(parent), state, command)


class Container:
    """A container under the security context and the limits of the Deployment in k8s/base, on ports of this machine.

    `environment` has whole names; `volumes` say where a file or folder goes, read-only; `memory` is as podman wants it
    and by default the Deployment's. Use as a context manager, or stop it.
    """

    def __init__(
        self,
        image: str,
        environment: Mapping[str, object] | None = None,
        volumes: Mapping[Path, str] | None = None,
        memory: str = "",
    ) -> None:
        self.port = free_port()
        self.metrics_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.metrics_url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        self._token: str | None = None
        pod = _pod()
        user, group = pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]
        memory = memory or _for_podman(pod["containers"][0]["resources"]["limits"]["memory"])
        self.data = _empty_folder(pod["securityContext"]["fsGroup"])
        given = {"TANDEM_PORT": self.port, "TANDEM_METRICS_PORT": self.metrics_port} | dict(environment or {})
        self.id = podman(
            *("run", "--detach", "--pull=never", "--network=host", "--pids-limit=1024"),
            *("--read-only", f"--user={user}:{group}", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
            *(f"--memory={memory}", f"--memory-swap={memory}"),
            *(f"--tmpfs=/tmp:size={_size_of(pod, 'tmp')}", f"--shm-size={_size_of(pod, 'shm')}"),
            f"--volume={self.data}:/var/lib/tandem",
            *(f"--volume={path}:{place}:ro" for path, place in (volumes or {}).items()),
            *(f"--env={name}={value}" for name, value in given.items()),
            image,
        )

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def ready(self, timeout_s: float = START_TIMEOUT_S) -> Container:
        """Wait until it says that it is ready; itself."""
        try:
            eventually(self._is_ready, timeout_s, every_s=0.1)
        except AssertionError as error:
            raise AssertionError(f"not ready: {error}\n{self.logs()[-4000:]}") from None
        return self

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        except httpx.TransportError:
            assert self.runs(), f"it ended:\n{self.logs()[-4000:]}"
            raise

    def runs(self) -> bool:
        """Whether it has not ended."""
        return podman("inspect", "--format={{.State.Running}}", self.id) == "true"

    def signal(self, name: str) -> None:
        """Send a signal to process 1."""
        podman("kill", f"--signal={name}", self.id)

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for its end; its exit code."""
        return int(podman("wait", "--interval=50ms", self.id, timeout_s=timeout_s))

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM, then wait and remove; the exit code."""
        self.signal("TERM")
        code = self.wait(timeout_s)
        self.remove()
        return code

    def remove(self) -> None:
        """Remove it, killing what still runs in it."""
        podman("rm", "--force", "--ignore", "--time=0", self.id)
        shutil.rmtree(self.data, ignore_errors=True)

    def logs(self) -> str:
        """What it wrote, on both of its outputs."""
        command = ["podman", "logs", self.id]
        done = subprocess.run(command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout

    def run(self, *command: str) -> str:
        """Run a command in it; what that printed."""
        return podman("exec", self.id, *command)

    def processes(self) -> list[Process]:
        """All of its processes, process 1 first."""
        first = int(podman("inspect", "--format={{.State.Pid}}", self.id))
        everybody = {process.pid: process for process in _processes()}
        found = [everybody[first]]
        for above in found:
            found += [process for process in everybody.values() if process.parent == above.pid]
        return found

    # Asking

    def headers(self) -> dict[str, str]:
        """The headers of the account `admin`, where the server keeps accounts of its own."""
        self._token = self._token or self.run("tandem", "token", "--user", "admin")
        return {"authorization": f"Bearer {self._token}"}

    def get(self, path: str) -> httpx.Response:
        """GET as `admin`."""
        return httpx.get(self.url + path, headers=self.headers())

    def score(self, model: str, body: object) -> httpx.Response:
        """POST JSON to a model's scoring route as `admin`."""
        headers = {"content-type": "application/json"} | self.headers()
        url = f"{self.url}/v1/models/{model}/score"
        return httpx.post(url, content=orjson.dumps(body), headers=headers, timeout=60)

    def model(self, name: str) -> dict[str, Any]:
        """The model's details; {} while there is no such model."""
        reply = self.get(f"/v1/models/{name}")
        return reply.json() if reply.status_code == 200 else {}


@functools.cache
def _pod() -> dict[str, Any]:
    """What the Deployment says of its pods."""
    pod: dict[str, Any] = yaml.safe_load((ROOT / "k8s/base/deployment.yaml").read_text())["spec"]["template"]["spec"]
    return pod


def _for_podman(quantity: str) -> str:
    """Kubernetes writes 5Gi where podman writes 5g."""
    return quantity.removesuffix("i").lower()


def _size_of(pod: dict[str, Any], volume: str) -> str:
    [found] = [v for v in pod["volumes"] if v["name"] == volume]
    return _for_podman(found["emptyDir"]["sizeLimit"])


def _empty_folder(group: int) -> Path:
    """A volume as the kubelet makes an emptyDir: root's, and open to the pod's group and everybody."""
    folder = Path(tempfile.mkdtemp(prefix="data-", dir=FOLDER))
    os.chown(folder, -1, group)
    folder.chmod(0o2777)
    return folder


if __name__ == "__main__":  # built beforehand, so that no test waits for it
    image()
    gpu_image()
