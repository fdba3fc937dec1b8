"""The manifests are valid by Kubernetes' own schemas, and right in themselves; test_checks.py tests the checks."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import kubernetes_validate
import pytest
import yaml

from server.pools import memory_ceiling
from tests.k8s.checks import CHECKS, Check
from tests.k8s.checks.objects import Pods, pods, quantity
from tests.k8s.rendered import COMPOSED, K8S, OVERLAYS, Manifest, build, of_kind, one, render
from tests.k8s.test_crds import KINDS

pytestmark = pytest.mark.ship

VERSIONS = ("1.34", "1.35", "1.36")
MIB = 1 << 20
LEAST_FOR_MODELS_MIB = 512


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_to_the_last_field(version: str) -> None:
    everything = [each for name in (*OVERLAYS, *COMPOSED) for each in render(name)]
    for each in {json.dumps(each): each for each in everything}.values():
        if each["apiVersion"] not in KINDS:  # those are test_crds.py's
            kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_field_is_not_valid(version: str) -> None:
    deployment = one(render("dev"), "Deployment", "tandem")
    deployment["spec"]["template"]["spec"]["containers"][0]["resource"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, version, strict=True)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_manifests_hold(check: Check, objects: list[Manifest]) -> None:
    assert list(check(objects)) == []


def test_every_component_is_in_something_that_is_tested() -> None:
    written = {path for name in OVERLAYS for path in _components(K8S / "overlays" / name)}
    composed = {K8S / path for _, components in COMPOSED.values() for path in components}
    assert {*(K8S / "components").iterdir(), K8S / "monitoring" / "oss"} == written | composed


def _components(folder: Path) -> list[Path]:
    listed: list[str] = yaml.safe_load((folder / "kustomization.yaml").read_text()).get("components", [])
    return [(folder / path).resolve() for path in listed]


# Memory

SUMS = {"tandem": K8S / "base" / "settings.env", "tandem-gpu": K8S / "components" / "gpu" / "settings.env"}


def _summands(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"^# +(\d+)  ", path.read_text(), re.MULTILINE)]


def _forks(pod: Pods) -> int:
    """As the server counts on a node of many cores, which it sees where there is no limit of CPU."""
    gpus = int(pod.container["resources"]["limits"].get("nvidia.com/gpu", 0))
    with (
        patch("server.pools.memory_ceiling.granted_cores", lambda: 64),
        patch("server.machine.gpus.count", lambda: gpus),
    ):
        return memory_ceiling.forks(pod.settings)


def test_the_memory_of_a_pod_is_the_sum_that_its_settings_tell(objects: list[Manifest]) -> None:
    for pod in pods(objects):
        processes, workers, bodies, in_memory, recorder, models, limit = _summands(SUMS[pod.name])
        assert limit * MIB == pod.memory
        assert processes + workers + bodies + in_memory + recorder + models == limit
        assert workers == _forks(pod) * pod.settings.worker_memory_mb
        assert pod.settings.worker_memory_mb * MIB >= memory_ceiling.LEAST_BYTES
        volumes = [volume["emptyDir"] for volume in pod.spec["volumes"] if "emptyDir" in volume]
        assert in_memory * MIB == sum(quantity(each["sizeLimit"]) for each in volumes if each.get("medium") == "Memory")
        assert models >= LEAST_FOR_MODELS_MIB


def test_the_server_itself_warns_of_no_ceiling(objects: list[Manifest], caplog: pytest.LogCaptureFixture) -> None:
    for pod in pods(objects):
        with (
            patch.object(memory_ceiling, "granted_cores", lambda: 64),
            patch.object(memory_ceiling, "granted_memory_bytes", lambda memory=pod.memory: memory),
        ):
            memory_ceiling.check(pod.settings)
            assert not caplog.records
            memory_ceiling.check(pod.settings.model_copy(update={"r_workers": 64}))
            assert caplog.records
            caplog.clear()


def test_nothing_is_left_to_the_cores_of_the_node(objects: list[Manifest]) -> None:
    """Without a limit of CPU a server is granted them all, and each of these would follow their number."""
    for pod in pods(objects):
        told = {f"TANDEM_{name}" for name in ("R_WORKERS", "PYTHON_WORKERS", "TORCH_THREADS", "WORKER_MEMORY_MB")}
        assert told <= pod.environment.keys()
        assert pod.settings.torch_threads > 0


# Two Deployments, one values.env


def _differences(left: Any, right: Any, path: str = "") -> set[str]:
    """Where two manifests differ; lists of named things are compared by name."""
    if (
        isinstance(left, list)
        and isinstance(right, list)
        and all(isinstance(e, dict) and "name" in e for e in left + right)
    ):
        left, right = ({each["name"]: each for each in side} for side in (left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        keys = left.keys() | right.keys()
        return {found for key in keys for found in _differences(left.get(key), right.get(key), f"{path}/{key}")}
    return set() if left == right else {path}


def test_gpu_pods_are_cpu_pods_but_for_what_is_theirs() -> None:
    cpu, gpu = (pod.spec for pod in pods(render("aks-gpu")))
    assert _differences(cpu, gpu) == {
        "/nodeSelector",
        "/tolerations",
        "/topologySpreadConstraints",
        "/volumes/key-vault",
        "/containers/tandem/env",
        "/containers/tandem/envFrom",
        "/containers/tandem/image",
        "/containers/tandem/resources/limits/memory",
        "/containers/tandem/resources/limits/nvidia.com/gpu",
        "/containers/tandem/resources/requests/cpu",
        "/containers/tandem/resources/requests/memory",
        "/containers/tandem/resources/requests/nvidia.com/gpu",
        "/containers/tandem/volumeMounts/key-vault",
    }


def test_cpu_pods_do_not_load_the_models_of_gpu_pods() -> None:
    cpu, gpu = (pod.settings for pod in pods(render("aks-gpu")))
    assert not {cpu.r_models, cpu.python_models} & {gpu.r_models, gpu.python_models}
    for folder in (gpu.r_models, gpu.python_models):
        assert not any(folder.is_relative_to(other) for other in (cpu.r_models, cpu.python_models))


def _values() -> dict[str, str]:
    lines = (K8S / "overlays" / "aks" / "values.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_what_a_user_fills_in_is_in_values_env_and_each_value_gets_where_it_belongs(tmp_path: Path) -> None:
    """No placeholder is left once all are filled in, and each value is used."""
    shutil.copytree(K8S, tmp_path / "k8s")
    overlays = tmp_path / "k8s" / "overlays"
    (overlays / "aks" / "values.env").write_text("".join(f"{key}=filled-{key.lower()}\n" for key in _values()))
    for overlay in ("aks", "aks-gpu"):
        text = json.dumps(build(overlays / overlay))
        assert "example" not in text and "00000000" not in text
        assert all(f"filled-{key.lower()}" in text for key in _values())
        assert "filled-registry/tandem-cpu:" in text


def test_the_values_are_not_applied_themselves() -> None:
    assert {each["metadata"]["name"].rpartition("-")[0] for each in of_kind(render("aks"), "ConfigMap")} == {"tandem"}


def test_a_changed_setting_is_a_rolling_update() -> None:
    (config_map,) = of_kind(render("dev"), "ConfigMap")
    assert re.fullmatch(r"tandem-[a-z0-9]{10}", config_map["metadata"]["name"])
    assert pods(render("dev"))[0].container["envFrom"] == [{"configMapRef": {"name": config_map["metadata"]["name"]}}]


def test_azure_scrapes_within_the_limits_of_its_ingestion() -> None:
    monitor = one(render("aks"), "PodMonitor", "tandem")["spec"]
    limits = ("labelLimit", "labelNameLengthLimit", "labelValueLengthLimit")
    assert [monitor[name] for name in limits] == [63, 511, 1023]


def test_no_overlay_holds_a_secret() -> None:
    assert not [each for name in (*OVERLAYS, *COMPOSED) for each in of_kind(render(name), "Secret")]


def test_the_overlay_that_the_readme_shows_builds_and_holds(tmp_path: Path) -> None:
    shutil.copytree(K8S, tmp_path / "k8s")
    own = tmp_path / "k8s" / "overlays" / "own"
    own.mkdir()
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", (K8S / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (own / "kustomization.yaml").write_text(shown)
    shutil.copy(K8S / "overlays" / "dev" / "models.yaml", own)
    objects = build(own)
    assert [list(check(objects)) for check in CHECKS] == [[]] * len(CHECKS)
    assert "example.com/tandem-cpu@sha256:" in pods(objects)[0].container["image"]
    assert one(objects, "Gateway", "tandem")["spec"]["listeners"][1]["hostname"] == "score.example.com"
