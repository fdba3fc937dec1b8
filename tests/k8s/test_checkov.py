"""checkov finds nothing in what kustomize makes, but for a short list with reasons (checkov.yaml)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.harness.tandem import ROOT
from tests.k8s.rendered import COMPOSED, OVERLAYS, Manifest, one, render

pytestmark = pytest.mark.ship

CHECKOV = ROOT / ".venv-ship" / "bin" / "checkov"
CONFIG = Path(__file__).parent / "checkov.yaml"


def found(folder: Path, config: Path = CONFIG) -> set[tuple[str, str, str]]:
    """File, object and check of everything that checkov finds in a folder."""
    command = [CHECKOV, "--config-file", config, "--output", "json", "--directory", folder]
    # Else it asks the network whether there is a newer checkov.
    environment = os.environ | {"CKV_SKIP_PACKAGE_UPDATE_CHECK": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["resource_count"] > 0 and report["summary"]["parsing_errors"] == 0
    return {(each["file_path"], each["resource"], each["check_id"]) for each in report["results"]["failed_checks"]}


def write(folder: Path, name: str, objects: list[Manifest]) -> None:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(objects))


def test_checkov_finds_nothing_that_has_no_reason(tmp_path: Path) -> None:
    for name in (*OVERLAYS, *COMPOSED):
        write(tmp_path, name, render(name))
    assert found(tmp_path) == set()


def test_every_exception_is_needed_and_checkov_sees_a_mistake(tmp_path: Path) -> None:
    objects = render("aks")
    container = one(objects, "Deployment", "tandem")["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"]["readOnlyRootFilesystem"] = False
    write(tmp_path, "aks", objects)
    settings = yaml.safe_load(CONFIG.read_text())
    without = tmp_path / "config"
    without.write_text(yaml.safe_dump({key: value for key, value in settings.items() if key != "skip-check"}))
    read_only_root = "CKV_K8S_22"
    assert {check for _, _, check in found(tmp_path, without)} == {read_only_root, *settings["skip-check"]}
