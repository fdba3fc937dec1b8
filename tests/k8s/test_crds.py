"""Custom resources against the schemas that their projects publish, unknown fields included.

kubernetes-validate knows Kubernetes' own kinds only. The schemas of the others come from npm (crds/package.json): they
are made from the projects' CRDs. There is none for SecretProviderClass; its few fields are written down here.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.k8s.rendered import COMPOSED, K8S, OVERLAYS, Manifest, one, render

pytestmark = pytest.mark.ship

CRDS = Path(__file__).parent / "crds"
BY_NODE = ("cert-manager.io/v1", "gateway.networking.k8s.io/v1", "keda.sh/v1alpha1", "monitoring.coreos.com/v1")
AZURE = "azmonitoring.coreos.com/v1"
"""Azure's copy of monitoring.coreos.com/v1."""
SECRET_PROVIDER_CLASS = "secrets-store.csi.x-k8s.io/v1"
KINDS = {*BY_NODE, AZURE, SECRET_PROVIDER_CLASS}

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
# kubernetes-sigs/secrets-store-csi-driver, config/crd/bases/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml at
# 0aad886f, closed to other fields; and what the azure provider asks for in `parameters`.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["provider", "parameters"],
            "properties": {
                "provider": {"const": "azure"},
                "parameters": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["keyvaultName", "objects", "tenantId"],
                    "properties": {
                        name: {"type": "string"}
                        for name in ("clientID", "keyvaultName", "objects", "tenantId", "usePodIdentity")
                    },
                },
                "secretObjects": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "annotations": _TEXTS,
                            "labels": _TEXTS,
                            "secretName": {"type": "string"},
                            "type": {"type": "string"},
                            "data": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "properties": {"key": {"type": "string"}, "objectName": {"type": "string"}},
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}

Check = Callable[[list[Manifest]], list[list[str]]]


@pytest.fixture(scope="session")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Says what is wrong with each of some objects, by the packages from npm."""
    folder = tmp_path_factory.mktemp("crds")
    for name in ("package.json", "package-lock.json", "check.mjs"):
        shutil.copy(CRDS / name, folder)
    # Node 20 runs them; the packages' own wish for a newer one is a warning.
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(install, cwd=folder, env=os.environ | {"CI": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    def faults(objects: list[Manifest]) -> list[list[str]]:
        text = json.dumps([_as_oss(each) for each in objects])
        done = subprocess.run(["node", "check.mjs"], cwd=folder, input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found: list[list[str]] = json.loads(done.stdout)
        assert len(found) == len(objects)
        return found

    return faults


def _as_oss(manifest: Manifest) -> Manifest:
    return manifest | {"apiVersion": BY_NODE[-1]} if manifest["apiVersion"] == AZURE else manifest


def custom(groups: Iterable[str]) -> list[Manifest]:
    """All custom resources of these groups that k8s/ has anywhere; each once."""
    found = [each for name in (*OVERLAYS, *COMPOSED) for each in render(name)]
    rules = K8S / "monitoring" / "oss" / "prometheus-rule.yaml"
    found += yaml.safe_load_all(rules.read_text()) if rules.exists() else []
    groups = set(groups)
    return list({json.dumps(each): each for each in found if each["apiVersion"] in groups}.values())


def test_every_custom_resource_fits_its_published_schema(check: Check) -> None:
    objects = custom({*BY_NODE, AZURE})
    assert {each["kind"] for each in objects} >= {
        *("ClusterIssuer", "Gateway", "HTTPRoute", "PodMonitor", "ScaledObject", "TriggerAuthentication"),
    }
    assert {each["apiVersion"] for each in objects if each["kind"] == "PodMonitor"} == {AZURE, BY_NODE[-1]}
    for each, faults in zip(objects, check(objects), strict=True):
        assert not faults, (each["kind"], each["metadata"]["name"], faults)


def test_every_secret_provider_class_fits_its_schema() -> None:
    objects = custom({SECRET_PROVIDER_CLASS})
    assert objects
    for each in objects:
        jsonschema.validate(each, SCHEMA)


def _with(kind: str, name: str, change: Callable[[Manifest], None]) -> Manifest:
    changed = copy.deepcopy(one(render("aks"), kind, name))
    change(changed["spec"])
    return changed


def test_the_check_sees_unknown_fields_wrong_types_bad_values_and_what_is_missing(check: Check) -> None:
    """Each of these passes one of the two looks and not the other, or is deep in the object."""
    wrong = [
        _with("ScaledObject", "tandem", lambda spec: spec.update(minReplicas=2)),
        _with("PodMonitor", "tandem", lambda spec: spec["podMetricsEndpoints"][0].update(intervall="15s")),
        _with("Gateway", "tandem", lambda spec: spec["listeners"][1]["tls"].update(certificateRef=[])),
        _with("HTTPRoute", "tandem", lambda spec: spec["rules"][0]["backendRefs"][0].update(port="80")),
        _with("HTTPRoute", "tandem", lambda spec: spec["rules"][0]["timeouts"].update(request="45 seconds")),
        _with("HTTPRoute", "to-https", lambda spec: spec["rules"][0]["matches"][0]["path"].update(type="Prefix")),
        _with("ClusterIssuer", "letsencrypt-staging", lambda spec: spec["acme"].pop("privateKeySecretRef")),
        _with("TriggerAuthentication", "tandem-prometheus", lambda spec: spec["podIdentity"].update(provider="azure")),
    ]
    assert [bool(faults) for faults in check(wrong)] == [True] * len(wrong)


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["parameters"].update(clientId="x"),
        lambda spec: spec["parameters"].update(usePodIdentity=False),
        lambda spec: spec["secretObjects"][0].update(name="tandem"),
    ],
)
def test_the_schema_of_a_secret_provider_class_sees_mistakes(change: Callable[[Manifest], None]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(_with("SecretProviderClass", "tandem", change), SCHEMA)


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((CRDS / "package-lock.json").read_text())
    packages = [package for name, package in lock["packages"].items() if name]
    assert packages and all("integrity" in package and "resolved" not in package for package in packages)
