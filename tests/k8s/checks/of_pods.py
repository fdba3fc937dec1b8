"""Checks of what a pod is: its security, its habits, its settings, its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from server.config import ConfigError
from server.supervisor.recorder import STOP_TIMEOUT_S
from tests.k8s.checks.objects import HANG_S, PROBES, matches, pods, quantity, said, seconds
from tests.k8s.rendered import Manifest, of_kind

VOLUMES = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
OTHERS = {"procMount", "sysctls", "seLinuxOptions", "appArmorProfile"}
USER = ("runAsUser", "runAsGroup", "fsGroup")


def pod_security(objects: list[Manifest]) -> Iterator[str]:
    """The level `restricted` of the Pod Security Standards, as far as a field that we use can break it."""
    for each in pods(objects):
        spec, container = each.spec, each.container
        own = container.get("securityContext", {})
        merged = spec.get("securityContext", {}) | own
        wrong = {
            "hostNetwork, hostPID or hostIPC": any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
            "hostPort": any(port.get("hostPort") for port in container["ports"]),
            "a forbidden type of volume": any(not volume.keys() <= {"name", *VOLUMES} for volume in spec["volumes"]),
            "privileged": own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
            "capabilities": own.get("capabilities") != {"drop": ["ALL"]},
            "runAsNonRoot": merged.get("runAsNonRoot") is not True,
            "runAsUser 0": merged.get("runAsUser") == 0,
            "seccompProfile": merged.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"),
            "procMount, sysctls, SELinux or AppArmor": merged.keys() & OTHERS,
            "init containers, which this check does not read": spec.get("initContainers"),
        }
        yield from (f"{each.name}: {what}" for what, is_wrong in wrong.items() if is_wrong)


def habits(objects: list[Manifest]) -> Iterator[str]:
    """What no standard asks for and Tandem needs."""
    for each in pods(objects):
        spec, container = each.spec, each.container
        asked, limits = container["resources"]["requests"], container["resources"]["limits"]
        sizes = {v["name"]: v["emptyDir"] for v in spec["volumes"] if "emptyDir" in v}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        wrong = {
            "Services would set TANDEM_PORT (enableServiceLinks)": spec.get("enableServiceLinks") is not False,
            "a token for the Kubernetes API": spec.get("automountServiceAccountToken") is not False,
            "a root that can be written to": not container["securityContext"].get("readOnlyRootFilesystem"),
            "not the user and group of the image": {spec["securityContext"].get(name) for name in USER} != {10001},
            "not three probes": not {*PROBES} <= container.keys(),
            "a memory request that is not the limit": asked["memory"] != limits["memory"],
            "a limit of CPU": "cpu" in limits,
            "/tmp or /dev/shm is not memory of a limited size": any(
                sizes.get(mounts.get(path, ""), {}).get("medium") != "Memory" or "sizeLimit" not in sizes[mounts[path]]
                for path in ("/tmp", "/dev/shm")
            ),
        }
        yield from (f"{each.name}: {what}" for what, is_wrong in wrong.items() if is_wrong)
        for name in asked.keys() & limits.keys():
            if quantity(str(asked[name])) > quantity(str(limits[name])):
                yield f"{each.name}: more {name} asked for than allowed"


def settings(objects: list[Manifest]) -> Iterator[str]:
    """Every setting is one, and names files, folders and servers that are there."""
    services = {each["metadata"]["name"]: each for each in of_kind(objects, "Service")}
    for each in pods(objects):
        try:
            found = each.settings
        except ConfigError as e:
            yield f"{each.name}: {e}"
            continue
        mounts = {mount["mountPath"] for mount in each.container["volumeMounts"]}
        accounts = Path(found.database) if found.database else found.accounts
        for path in (accounts, found.token_key, found.r_models, found.python_models, found.data):
            if path is None or not any(path.is_relative_to(mount) for mount in mounts):
                yield f"{each.name}: nothing is mounted at {path}"
        secret = next(v["secret"] for v in each.spec["volumes"] if "secret" in v)
        if secret.get("defaultMode", 0o644) & 0o007:
            yield f"{each.name}: others can read the key, and the server refuses to start"
        listening = {"http": found.port, "metrics": found.metrics_port}
        if each.ports != listening:
            yield f"{each.name}: listens on {listening}, and says {each.ports}"
        for remote in filter(None, found.remotes.split(",")):
            service = services.get(remote.partition("=")[2].removeprefix("http://"))
            if service is None or service["spec"]["ports"][0]["port"] != 80:
                yield f"{each.name}: no Service for {remote}"
            elif matches(each.labels, {"matchLabels": service["spec"]["selector"]}):
                yield f"{each.name}: {remote} is itself"


def time_to_leave(objects: list[Manifest]) -> Iterator[str]:
    """A pod that is told to leave can answer everything before it is killed, and proxies wait for longer than it."""
    for each in pods(objects):
        sleep = each.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        needed = sleep + each.settings.drain_s + each.settings.timeout_s + HANG_S + STOP_TIMEOUT_S
        if sleep < 10:
            yield f"{each.name}: preStop does not wait for the load balancers"
        if each.spec["terminationGracePeriodSeconds"] < needed:
            yield f"{each.name}: {needed:.0f} s are needed to leave"
        for route in of_kind(objects, "HTTPRoute"):
            for rule in route["spec"]["rules"]:
                patience = seconds(rule.get("timeouts", {}).get("request", "0s"))
                if "backendRefs" in rule and patience < each.settings.timeout_s + 5:
                    yield f"{said(route)}: gives up before the server does"
        if of_kind(objects, "Gateway") and each.settings.keepalive_s <= 3600:
            yield f"{each.name}: closes idle connections before Envoy does, which may be sending a request"
