"""Rendered objects as the checks look at them: pods with what surrounds them, selectors, quantities."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from unittest.mock import patch

from server import config
from server.config import Settings
from tests.k8s.rendered import Manifest, of_kind

NAME = "kubernetes.io/metadata.name"
BY_HAND = {("tandem", "tandem")}
"""The Secret that no manifest makes, where it does not come from a vault: accounts and key (k8s/README.md)."""
IMAGE_ENVIRONMENT = {
    "TANDEM_HOST": "0.0.0.0",
    "TANDEM_PORT": "8000",
    "TANDEM_METRICS_PORT": "9464",
    "TANDEM_R_MODELS": "/models/r",
    "TANDEM_PYTHON_MODELS": "/models/python",
    "TANDEM_DATA": "/var/lib/tandem",
}
"""What the image says (docker/Dockerfile), and a manifest may override."""
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
IMDS = "169.254.169.254"
HANG_S = 25
"""What the server may take beside its time limits, should a web process hang (docs/operations.md)."""


@dataclass(frozen=True)
class Pods:
    """The pods of one Deployment, and the objects around them."""

    deployment: Manifest
    objects: list[Manifest]

    @property
    def name(self) -> str:
        return str(self.deployment["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.deployment["metadata"]["namespace"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.deployment["spec"]["template"]["metadata"]["labels"])

    @property
    def spec(self) -> Manifest:
        return dict(self.deployment["spec"]["template"]["spec"])

    @property
    def container(self) -> Manifest:
        (container,) = self.spec["containers"]
        return dict(container)

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self.container["ports"]}

    @property
    def memory(self) -> int:
        return int(quantity(self.container["resources"]["limits"]["memory"]))

    @cached_property
    def environment(self) -> dict[str, str]:
        """What the process sees: the image's, then each ConfigMap's, then the container's own."""
        found = dict(IMAGE_ENVIRONMENT)
        for source in self.container["envFrom"]:
            name = source["configMapRef"]["name"]
            for config_map in of_kind(self.objects, "ConfigMap"):
                found |= config_map["data"] if config_map["metadata"]["name"] == name else {}
        return found | {each["name"]: each["value"] for each in self.container.get("env", [])}

    @cached_property
    def settings(self) -> Settings:
        """Raises ConfigError, as the server would."""
        with patch.dict(os.environ, self.environment, clear=True):
            return config.load()


def pods(objects: list[Manifest]) -> list[Pods]:
    return [Pods(each, objects) for each in of_kind(objects, "Deployment")]


def quantity(text: str) -> float:
    """A Kubernetes quantity of bytes, cores or things."""
    number, unit = re.fullmatch(r"(\d+)(m|Ki|Mi|Gi|)", text).groups()
    return int(number) * {"m": 0.001, "": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[unit]


def seconds(text: str) -> float:
    """A duration of the Gateway API, of one unit."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def matches(labels: dict[str, str], selector: Manifest) -> bool:
    assert not selector.get("matchExpressions"), "this check knows labels only"
    return (selector.get("matchLabels") or {}).items() <= labels.items()


def selected(objects: list[Manifest], namespace: str, selector: Manifest) -> list[Pods]:
    return [each for each in pods(objects) if each.namespace == namespace and matches(each.labels, selector)]


def names(objects: list[Manifest], kind: str) -> set[tuple[str, str]]:
    found = of_kind(objects, kind)
    return {(each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in found}


def said(each: Manifest) -> str:
    return f"{each['kind']} {each['metadata']['name']}"


def ingress_paths(objects: list[Manifest]) -> Iterator[tuple[Manifest, str, Manifest]]:
    for ingress in of_kind(objects, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            yield from ((ingress, rule["host"], path) for path in rule["http"]["paths"])


def peers_of(policy: Manifest) -> list[Manifest]:
    if policy["kind"] != "NetworkPolicy":
        return []
    spec = policy["spec"]
    incoming = [peer for rule in spec.get("ingress", []) for peer in rule.get("from", [])]
    return incoming + [peer for rule in spec.get("egress", []) for peer in rule.get("to", [])]
