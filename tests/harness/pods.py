"""Pods without a cluster: containers that podman runs as the rendered Deployment says, and what the kubelet does.

The security context, limits, settings and mounts are the manifest's. Given by the test are folders in the place of
volumes that only a cluster has (secrets, models), and settings that differ because all pods here share one network.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx

from auth.account_file import new_line
from auth.principal import ROLES
from tests.harness.gateway import Unsupported
from tests.harness.ship import podman
from tests.harness.tandem import eventually, free_port
from tests.k8s.rendered import Manifest, one

GROUP = 10001
"""fsGroup of the pods: the kubelet gives them the Secrets' files so."""
PASSWORD = "correct horse battery staple"
_UNITS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class Pod:
    """One pod of a Deployment. `mounts` are folders by the path where the manifest mounts a volume."""

    def __init__(
        self, manifests: Iterable[Manifest], deployment: str, image: str, mounts: Mapping[str, Path], **settings: object
    ) -> None:
        self._manifests = list(manifests)
        self._mounts = mounts
        self._image = image
        self.spec = one(self._manifests, "Deployment", deployment)["spec"]["template"]["spec"]
        (self.container,) = self.spec["containers"]
        self.port, self.metrics_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        ours = {"host": "127.0.0.1", "port": self.port, "metrics_port": self.metrics_port} | settings
        self.environment = self._environment() | {f"TANDEM_{name.upper()}": str(value) for name, value in ours.items()}
        self.id = f"{deployment}-{self.port}"
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self.id}-"))

    def start(self) -> Pod:
        variables = [f"--env={name}={value}" for name, value in self.environment.items()]
        podman("run", "--detach", f"--name={self.id}", "--network=host", *self.arguments(), *variables, self._image)
        return self

    def restart(self) -> Pod:
        """Start it again after its end, as the kubelet does: same volumes, same address."""
        podman("start", self.id)
        return self

    def run(self, *command: str) -> str:
        """Run a command in it; what that printed."""
        return podman("exec", self.id, *command)

    def logs(self) -> str:
        """What it wrote, on both of its outputs."""
        command = ["podman", "logs", self.id]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60).stdout

    def signal(self, name: str) -> None:
        """Send a signal to process 1."""
        podman("kill", f"--signal={name}", self.id)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; its exit code."""
        return int(podman("wait", "--interval=50ms", self.id, timeout_s=timeout_s))

    def remove(self) -> None:
        podman("rm", "--force", "--ignore", "--time=0", self.id)
        shutil.rmtree(self._folder)

    @property
    def memory_bytes(self) -> int:
        return _bytes(self.container["resources"]["limits"]["memory"])

    @property
    def grace_s(self) -> float:
        return float(self.spec["terminationGracePeriodSeconds"])

    @property
    def pre_stop_s(self) -> float:
        return float(self.container["lifecycle"]["preStop"]["sleep"]["seconds"])

    def arguments(self) -> list[str]:
        """What makes podman do as the kubelet would: security context, limits, volumes."""
        context = self.spec.get("securityContext", {}) | self.container["securityContext"]
        flags = [f"--user={context['runAsUser']}:{context.get('runAsGroup', context['runAsUser'])}"]
        if "fsGroup" in context:
            flags.append(f"--group-add={context['fsGroup']}")
        if context.get("readOnlyRootFilesystem"):
            flags += ["--read-only", "--read-only-tmpfs=false"]
        if not context.get("allowPrivilegeEscalation", True):
            flags.append("--security-opt=no-new-privileges")
        flags += [f"--cap-drop={name}" for name in context.get("capabilities", {}).get("drop", [])]
        flags += [f"--memory={self.memory_bytes}", f"--memory-swap={self.memory_bytes}"]
        if "cpu" in self.container["resources"]["limits"]:
            raise Unsupported("a limit of CPU")
        return flags + [self._mount(mount) for mount in self.container["volumeMounts"]]

    # What the kubelet does

    def passes(self, probe: str) -> bool:
        """One look, as the probe of that name says."""
        asked = self.container[probe]["httpGet"]
        (port,) = [p["name"] for p in self.container["ports"] if asked["port"] in (p["name"], p["containerPort"])]
        ports = {"http": self.port, "metrics": self.metrics_port}
        limit_s = self.container[probe].get("timeoutSeconds", 1)
        try:
            return httpx.get(f"http://127.0.0.1:{ports[port]}{asked['path']}", timeout=limit_s).is_success
        except httpx.HTTPError:
            return False

    def becomes_ready(self) -> Pod:
        """Wait as the kubelet does: for the startup probe, then for the readiness probe, each at its own pace."""
        for name in ("startupProbe", "readinessProbe"):
            probe = self.container[name]
            every_s = probe.get("periodSeconds", 10)
            try:
                eventually(lambda name=name: self._runs() and self.passes(name), every_s=every_s, timeout_s=90)
            except AssertionError as failed:
                raise AssertionError(f"{failed}\n{self.logs()[-4000:]}") from None
        return self

    # Asking it, past any gateway

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        total = 0.0
        for line in httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics").text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
                total += float(value)
        return total

    def _runs(self) -> bool:
        if podman("inspect", "--format={{.State.Running}}", self.id) != "true":
            raise RuntimeError(f"it has ended:\n{self.logs()[-4000:]}")
        return True

    def _environment(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in self.container.get("envFrom", []):
            found |= one(self._manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
        for variable in self.container.get("env", []):
            if "value" not in variable:
                raise Unsupported(f"an environment variable from {list(variable)}")
            found[variable["name"]] = variable["value"]
        return found

    def _mount(self, mount: Manifest) -> str:
        path = mount["mountPath"]
        (volume,) = [volume for volume in self.spec["volumes"] if volume["name"] == mount["name"]]
        if "emptyDir" in volume:
            return f"--volume={self._empty(mount['name'])}:{path}"
        return f"--volume={self._mounts[path]}:{path}:{'ro' if mount.get('readOnly') else 'rw'}"

    def _empty(self, name: str) -> Path:
        """A folder as the kubelet makes it for an emptyDir: root's, and for the pod's group to write."""
        folder = self._folder / name
        folder.mkdir()
        os.chown(folder, 0, self.spec["securityContext"]["fsGroup"])
        folder.chmod(0o2777)
        return folder


def volumes(folder: Path, **models: Iterable[Path]) -> dict[str, Path]:
    """What only a cluster has, by where it is mounted: secrets, and these models with their sidecars by runtime."""
    key_vault = folder / "key-vault"  # mounted so that the driver makes the Secret; nothing reads it
    key_vault.mkdir(parents=True)
    return {
        "/run/secrets/tandem": _secrets(folder / "secrets"),
        "/run/secrets/key-vault": key_vault,
        "/models": _models(folder / "models", models),
    }


def _secrets(folder: Path) -> Path:
    """An account of each role, named like it, and a key."""
    folder.mkdir()
    accounts = [new_line(role, role, PASSWORD) for role in ROLES]
    for name, text in (("accounts", "\n".join(accounts)), ("token.key", secrets.token_urlsafe(48))):
        path = folder / name
        path.touch(mode=0o440)
        path.write_text(text + "\n")
        os.chown(path, 0, GROUP)
    return folder


def _models(folder: Path, models: Mapping[str, Iterable[Path]]) -> Path:
    for runtime, paths in models.items():
        (folder / runtime).mkdir(parents=True)
        for path in paths:
            if path.is_dir():
                shutil.copytree(path, folder / runtime / path.name)
                continue
            for kept in (path, path.with_suffix(".yaml")):
                if kept.exists():
                    shutil.copyfile(kept, folder / runtime / kept.name)
    return folder


def sign_in(client: httpx.Client, name: str) -> str:
    """A token, by the route that everybody signs in by."""
    form = {"grant_type": "password", "username": name, "password": PASSWORD}
    reply = client.post("/auth/token", data=form)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["access_token"])


def pause(seconds: float) -> None:
    """Let time pass because Kubernetes does; nothing is waited for."""
    time.sleep(seconds)  # preStop is this: a pod that leaves serves on for so long


def _bytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([A-Z]?i?)", quantity).groups()
    return int(number) * _UNITS[unit]
