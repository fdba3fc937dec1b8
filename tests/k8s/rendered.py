"""What kustomize makes of k8s/: the objects that `kubectl apply -k` would send, as dictionaries.

Everything is rendered once; each caller gets a copy of its own.
"""

from __future__ import annotations

import copy
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.harness.tandem import ROOT

K8S = ROOT / "k8s"
OVERLAYS = ("dev", "aks", "aks-gpu")
OSS = (
    *("components/gateway", "components/cert-manager", "components/monitor-oss", "monitoring/oss"),
    *("components/autoscale-cpu", "components/models-files"),
)
COMPOSED = {
    "oss": ("base", (*OSS, "components/gpu")),
    "plain": ("overlays/dev", ("components/ingress", "components/autoscale-cpu", "components/identity")),
    "shared": ("base", ("components/postgresql", "components/models-files", "components/gpu")),
    "azure-database": (
        "overlays/aks-gpu",
        ("components/postgresql", "components/secrets-azure-database", "components/store-azure"),
    ),
}
"""Further ways to put the parts together, so that each component is in at least one."""

Manifest = dict[str, Any]


def render(name: str) -> list[Manifest]:
    """The objects of an overlay, or of one of `COMPOSED`."""
    return copy.deepcopy(_render(name))


def build(folder: Path) -> list[Manifest]:
    """The objects of a folder with a kustomization."""
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def compose(resource: str, components: Sequence[str]) -> list[Manifest]:
    """The objects of a kustomization that nobody has written down."""
    with tempfile.TemporaryDirectory() as made:
        here = os.path.relpath(K8S, Path(made).resolve())
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{here}/{resource}"],
            "components": [f"{here}/{name}" for name in components],
        }
        (Path(made) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return build(Path(made))


def of_kind(objects: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    """The objects of these kinds, in order."""
    return [found for found in objects if found["kind"] in kinds]


def one(objects: Iterable[Manifest], kind: str, name: str) -> Manifest:
    """The object of this kind and name."""
    (found,) = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return found


@cache
def _render(name: str) -> list[Manifest]:
    return build(K8S / "overlays" / name) if name in OVERLAYS else compose(*COMPOSED[name])
