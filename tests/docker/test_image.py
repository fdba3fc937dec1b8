"""The images as they are built and run: what is in them, what is not, and that they serve under the pod's limits."""

from __future__ import annotations

import json
import os
import re
import signal
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from server.machine.sandbox import degree
from tests.docker.dockerfile import R_PACKAGES
from tests.harness.ship import Container, podman, revision
from tests.harness.tandem import ROOT, eventually

pytestmark = pytest.mark.ship

CAR = {"rows": [{"wt": 2.62, "hp": 110, "cyl": "6"}]}
FOUR = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAQklEQVR42iXK0RiAMAAGwPsSKIQhhDCUUDIYQghDKIMQhjCEv4fu+aDNDdTcwByl76hp"
    "NRda+psCLRl/OnOwYPXwAejbFE06UvRTAAAAAElFTkSuQmCC"
)
FLOWER = {
    "rows": [{"sepal_length": 6.3, "sepal_width": 2.5, "petal_length": 4.9, "petal_width": 1.8}],
    "output": "class",
}


def inside(image: str, *command: str) -> str:
    """Run a program of an image as root, which sees every file; what it printed."""
    program, *arguments = command
    return podman("run", "--rm", "--network=none", "--user=0:0", f"--entrypoint={program}", image, *arguments)


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def image(request: pytest.FixtureRequest) -> str:
    name: str = request.getfixturevalue(f"{request.param}_image")
    return name


@pytest.fixture(scope="module")
def gpu_server(gpu_image: str, models: Path) -> Iterator[Container]:
    with Container(gpu_image, volumes={models / "python": "/models/python"}) as container:
        yield container.ready()


# What is inside


def test_an_image_has_no_compiler_no_headers_and_no_cache_of_pip(image: str) -> None:
    programs = "gcc cc g++ c++ gfortran clang as ld make cmake"
    assert inside(image, "sh", "-c", f"for p in {programs}; do command -v $p; done; true") == ""
    assert not re.findall(r"^\S+-dev$", inside(image, "dpkg-query", "-W", "-f", "${Package}\n"), re.MULTILINE)
    assert (
        inside(image, "sh", "-c", "find / -xdev -path '*/pip/http*' -o -xdev -path /var/lib/apt/lists/*_Packages") == ""
    )


def test_no_file_of_an_image_runs_as_its_owner_and_nobody_but_root_may_change_the_code(image: str) -> None:
    assert inside(image, "find", "/", "-xdev", "-type", "f", "-perm", "/6000") == ""
    assert inside(image, "find", "/opt/tandem", "-perm", "/022", "-not", "-type", "l") == ""
    assert inside(image, "find", "/", "-xdev", "-user", "10001") == "/var/lib/tandem"


def test_nothing_of_the_build_machine_is_in_an_image(image: str) -> None:
    assert inside(image, "sh", "-c", "ls /etc/pip.conf /run/secrets /build /sbom 2>/dev/null; true") == ""


def test_all_of_tandem_is_compiled_ahead(image: str) -> None:
    code = "import server.cli, pathlib; print(pathlib.Path(server.cli.__cached__).is_file())"
    assert inside(image, "python", "-c", code) == "True"


def test_the_labels_name_version_revision_and_licence(image: str) -> None:
    labels = json.loads(podman("image", "inspect", "--format={{json .Labels}}", image))
    named = {key.removeprefix("org.opencontainers.image."): value for key, value in labels.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert named["title"] == "Tandem"
    assert named["licenses"] == project["license"]
    assert named["version"] == project["version"]
    assert named["revision"] == revision()


def test_the_sbom_lists_exactly_what_is_installed(image: str) -> None:
    sbom = json.loads(inside(image, "cat", "/opt/tandem/sbom.cdx.json"))
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    assert sbom["metadata"]["component"]["name"] == "tandem-server"
    listed = {(part["purl"].split("/")[0], part["name"], part["version"]) for part in sbom["components"]}
    pip = json.loads(inside(image, "pip", "--no-cache-dir", "list", "--format=json", "--disable-pip-version-check"))
    python = {("pkg:pypi", p["name"], p["version"]) for p in pip if p["name"] != "tandem-server"}
    dpkg = inside(image, "dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n")
    debian = {("pkg:deb", *line.split()[1:]) for line in dpkg.splitlines() if line.startswith("installed ")}
    assert {name for _, name, _ in python} >= {"fastapi", "rpy2", "aiohttp"}
    assert listed == python | debian


def test_the_documented_r_packages_load_and_r_is_patched(cpu_image: str) -> None:
    names = ", ".join(f'"{name.removeprefix("r-cran-")}"' for name in R_PACKAGES if name.startswith("r-cran-"))
    code = f"""
      installed <- rownames(installed.packages())
      names(installed) <- tolower(installed)
      wanted <- installed[c({names}, "mgcv", "nnet", "rpart", "survival")]
      for (name in wanted) suppressPackageStartupMessages(library(name, character.only = TRUE))
      cat(getRversion() >= "4.4.0", La_library(), extSoftVersion()[["BLAS"]])
    """
    patched, *linear_algebra = inside(cpu_image, "Rscript", "--vanilla", "-e", code).split()
    assert patched == "TRUE"
    assert linear_algebra
    assert all(re.search("/(blas|lapack)/lib(blas|lapack)", library) for library in linear_algebra), linear_algebra


def test_an_image_is_no_larger_than_its_readme_says(image: str) -> None:
    kind = image.partition("-")[2].partition(":")[0]
    readme = (ROOT / "docker/README.md").read_text()
    [most] = re.findall(rf"^\| `{kind}` .*\| ([\d.]+) GB \|$", readme, re.MULTILINE)
    assert int(podman("image", "inspect", "--format={{.Size}}", image)) < float(most) * 1e9


# How it runs


def test_process_1_is_tandem_as_10001_with_no_capability_and_a_root_that_is_read_only(server: Container) -> None:
    assert server.run("cat", "/proc/1/cmdline").split("\0")[1:3] == ["/opt/tandem/.venv/bin/tandem", "serve"]
    status = dict(line.split(":\t", 1) for line in server.run("cat", "/proc/1/status").splitlines())
    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert status["NoNewPrivs"] == "1"
    mounts = [line.split() for line in server.run("cat", "/proc/mounts").splitlines()]
    assert {options.split(",")[0] for _, place, _, options, *_ in mounts if place in ("/", "/models")} == {"ro"}


def test_it_scores_models_of_r_scikit_learn_and_a_script_with_requirements_of_its_own(server: Container) -> None:
    assert server.score("mpg", CAR).json()["predictions"] == [pytest.approx(21.608512809961155, rel=1e-12)]
    assert server.score("iris_logistic", FLOWER).json()["predictions"] == ["virginica"]
    assert server.score("pieces", {"seconds": 0}).json() == "3.1"


def test_without_a_token_nothing_is_scored(server: Container) -> None:
    assert httpx.post(f"{server.url}/v1/models/mpg/score", json=CAR).status_code == 401


def test_a_pytorch_model_is_refused_where_there_is_no_pytorch_and_nothing_else_suffers(server: Container) -> None:
    [version] = server.model("digits")["versions"]
    assert (version["state"], version["code"]) == ("failed", "no_runtime")
    assert version["reason"].endswith("PyTorch is not installed on this server")
    assert httpx.get(f"{server.url}/health/ready").json()["status"] == "ready"


def test_the_sandbox_is_complete_inside_the_container(server: Container, gpu_server: Container) -> None:
    for container, pools in ((server, {"r", "python"}), (gpu_server, {"python", "torch"})):
        assert "sandbox" not in httpx.get(f"{container.url}/health/ready").json()  # others reach it
        sandbox = container.get("/health/ready").json()["sandbox"]
        assert sandbox.keys() >= pools
        assert {degree(words) for words in sandbox.values()} == {2}, sandbox


def test_the_gpu_image_scores_a_pytorch_model_and_asks_for_the_gpus(gpu_server: Container) -> None:
    read = gpu_server.score("digits", {"output": "class", "rows": [{"image": FOUR}]})
    assert read.json()["predictions"] == ["4"]
    environment = gpu_server.run("env").splitlines()
    assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} <= set(environment)


def test_the_other_commands_run_too(cpu_image: str, models: Path) -> None:
    verdict = podman("run", "--rm", f"--volume={models}:/models:ro", cpu_image, "check", "/models/r/mpg.rds")
    assert "lm" in verdict


def test_sigterm_lets_what_is_being_computed_be_answered_and_ends_with_0(cpu_image: str, models: Path) -> None:
    with Container(cpu_image, volumes={models / "python": "/models/python"}) as container, ThreadPoolExecutor() as pool:
        container.ready()
        answer = pool.submit(container.score, "pieces", {"seconds": 3})
        eventually(lambda: 'tandem_inflight{runtime="script"} 1.0' in httpx.get(container.metrics_url).text)
        container.signal("TERM")
        assert answer.result().json() == "3.1"
        assert container.wait(timeout_s=20) == 0


def test_process_1_reaps_what_lost_its_parent(server: Container) -> None:
    first = server.processes()[0].pid

    def ended() -> list[int]:
        return [p.pid for p in server.processes() if p.state == "Z" and p.parent == first]

    server.run("sh", "-c", "true >/dev/null 2>&1 &")
    assert eventually(ended)
    eventually(lambda: not ended(), timeout_s=40, every_s=0.5)


def test_a_killed_template_and_its_workers_leave_nothing_behind_and_it_still_scores(server: Container) -> None:
    first, *others = server.processes()
    [template] = [p.pid for p in others if "--runtime r " in p.command and p.parent == first.pid]
    workers = [p.pid for p in others if p.parent == template and p.state != "Z"]
    assert workers
    for pid in (template, *workers):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not {p.pid for p in server.processes()} & {template, *workers}, timeout_s=40, every_s=0.5)
    assert eventually(lambda: server.score("mpg", CAR).status_code == 200, timeout_s=30)
