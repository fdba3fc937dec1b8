"""The Dockerfile and what is said of it, without building anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.docker.dockerfile import DOCKERFILE, R_PACKAGES, argument
from tests.harness.tandem import ROOT

README = (ROOT / "docker/README.md").read_text()


def test_hadolint_finds_nothing_but_what_has_a_reason() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    command = [hadolint, "--no-color", "--config", ROOT / "docker/hadolint.yaml", ROOT / "docker/Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    reasons = (ROOT / "docker/hadolint.yaml").read_text()
    assert all("#" in line for line in reasons.splitlines() if "- DL" in line or "- SC" in line)


def test_the_base_has_a_digest() -> None:
    assert re.fullmatch(r"debian:trixie-slim@sha256:[0-9a-f]{64}", argument("BASE"))


def test_the_readme_lists_the_r_packages_of_the_dockerfile() -> None:
    listed = re.findall(r"`(r-[a-z0-9-]+)`", README.partition("## R packages\n\n")[2].partition("\n\n")[0])
    assert listed == R_PACKAGES


def test_the_image_has_every_model_package_that_the_tests_install() -> None:
    script = (ROOT / "scripts/install-system.sh").read_text()
    groups = script.partition("    run)")[2].partition("    ship)")[0]
    not_for_models = {
        "r-base-core",
        "r-base-dev",
        "r-cran-testthat",
        "r-cran-lintr",
        "r-cran-httr",
        "r-cran-httr2",
        "r-cran-gbm",
    }
    not_for_models |= {"r-cran-rcppparallel", "r-cran-prophet"}  # prophet needs all of rstan
    assert set(re.findall(r"\br-[a-z0-9-]+", groups)) - not_for_models == set(R_PACKAGES)


def test_what_is_left_out_of_rs_packages_can_be_installed_in_an_image_of_ones_own() -> None:
    [settings] = set(re.findall(r"/etc/dpkg/dpkg\.cfg\.d/\S+", DOCKERFILE))
    [step] = [step for step in re.findall(r"^RUN (?:.*\\\n)*.*$", DOCKERFILE, re.MULTILINE) if settings in step]
    assert step.index(f">{settings}") < step.index("apt-get install") < step.index("rm -rf") < step.rindex(settings)


def test_the_build_is_given_what_the_dockerfile_copies_and_nothing_else() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {source for line in lines for source in line.split()}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert "*" in ignored


def test_the_locks_have_a_hash_for_everything() -> None:
    lock = (ROOT / "docker/requirements-sbom.lock").read_text()
    packages = re.findall(r"^[a-z0-9-]+==.*(?:\n    .*)+", lock, re.MULTILINE)
    assert len(packages) == len(re.findall("^[a-z]", lock, re.MULTILINE))
    assert all("--hash=sha256:" in package for package in packages)
    assert "cyclonedx-bom==" in lock
