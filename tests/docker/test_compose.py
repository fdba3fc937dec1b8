"""docker/compose.yaml fits what it puts together: the image, Prometheus's configuration, the rules, the dashboards.

The images of Prometheus and Grafana cannot be pulled here, so what is in them is not tried; what they are given is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.tandem import ROOT

FOLDER = ROOT / "docker"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TANDEM, PROMETHEUS, GRAFANA = SERVICES["tandem"], SERVICES["prometheus"], SERVICES["grafana"]
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def mounts(service: dict[str, Any]) -> dict[str, Path]:
    """What of this checkout a service sees, by where it sees it."""
    split = [volume.split(":") for volume in service["volumes"]]
    return {inside: (FOLDER / outside).resolve() for outside, inside, *_ in split if outside.startswith(".")}


def provided(name: str) -> Any:
    return yaml.safe_load((FOLDER / "grafana" / name).read_text())


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_a_service_is_locked_up(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert "privileged" not in service


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_nothing_listens_beyond_this_machine(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_what_is_mounted_exists_and_cannot_be_written(service: dict[str, Any]) -> None:
    assert mounts(service)
    for volume in service["volumes"]:
        outside, _, *options = volume.split(":")
        if outside.startswith("."):
            assert (FOLDER / outside).exists(), outside
            assert options == ["ro"], volume
        else:
            assert outside in COMPOSE["volumes"]


@pytest.mark.parametrize("service", [PROMETHEUS, GRAFANA], ids=["prometheus", "grafana"])
def test_what_is_pulled_has_a_version(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", service["image"])


def test_tandem_is_the_image_that_the_dockerfile_makes() -> None:
    build = TANDEM["build"]
    assert (FOLDER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).resolve() == FOLDER / "Dockerfile"
    assert re.search(rf"^FROM \S+ AS {build['target']}$", DOCKERFILE, re.MULTILINE)
    assert f"USER {TANDEM['user']}" in DOCKERFILE
    set_there = dict(re.findall(r"(TANDEM_\w+)=(\S+)", DOCKERFILE))
    assert mounts(TANDEM) == {
        set_there["TANDEM_R_MODELS"]: ROOT / "r_models",
        set_there["TANDEM_PYTHON_MODELS"]: ROOT / "python_models",
    }
    assert any(volume.endswith(f":{set_there['TANDEM_DATA']}") for volume in TANDEM["volumes"])
    assert TANDEM["ports"] == [f"127.0.0.1:8000:{set_there['TANDEM_PORT']}"]
    assert f":{set_there['TANDEM_PORT']}/health/ready" in TANDEM["healthcheck"]["test"][-1]


def test_prometheus_can_read_what_it_is_given(tmp_path: Path) -> None:
    for inside, outside in mounts(PROMETHEUS).items():
        assert Path(inside).parent == Path("/etc/prometheus")
        shutil.copy(outside, tmp_path / Path(inside).name)
    assert "--config.file=/etc/prometheus/prometheus.yml" in PROMETHEUS["command"]
    config = tmp_path / "prometheus.yml"
    done = subprocess.run(["promtool", "check", "config", str(config)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout


def test_prometheus_scrapes_tandem_where_it_serves_its_metrics() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    [scrape] = config["scrape_configs"]
    assert scrape["job_name"] == "tandem"
    [target] = scrape["static_configs"]
    [port] = re.findall(r"TANDEM_METRICS_PORT=(\d+)", DOCKERFILE)
    assert target["targets"] == [f"tandem:{port}"]
    assert target["labels"].keys() == {"namespace", "pod"}


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    [source] = provided("datasources.yaml")["datasources"]
    [command] = [option for option in PROMETHEUS["command"] if "listen-address" in option] or [":9090"]
    assert source["url"] == f"http://prometheus{command}"
    assert source["type"] == "prometheus"
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped
    [provider] = provided("dashboards.yaml")["providers"]
    folder = mounts(GRAFANA)[provider["options"]["path"]]
    assert {path.stem for path in folder.glob("*.json")} == {"service", "models", "workers", "endpoints", "gpu"}
    home = Path(GRAFANA["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (folder / home.name).exists() and str(home.parent) == provider["options"]["path"]
    assert {Path(inside).parent.name for inside in mounts(GRAFANA)} >= {"datasources", "dashboards"}


def test_nobody_can_change_anything_in_grafana() -> None:
    settings = GRAFANA["environment"]
    assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert settings["GF_AUTH_BASIC_ENABLED"] == "false"
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
