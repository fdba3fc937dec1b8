"""R's front-end is asked what it sets, and R itself is not started for that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from server.workers.r import front_end
from tests.harness.tandem import ROOT

FOUND_BY_RPY2 = ("R_HOME", "R_SHARE_DIR", "R_INCLUDE_DIR", "R_DOC_DIR", "R_ARCH", "LD_LIBRARY_PATH")


def seen_by_r(name: str) -> str:
    """What R itself has in its environment."""
    command = ["Rscript", "-e", f"cat(Sys.getenv('{name}'))"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def installed() -> Path:
    """Where R is."""
    return Path(subprocess.run(["R", "RHOME"], capture_output=True, text=True, check=True).stdout.strip())


def test_what_the_front_end_sets_is_what_r_sees() -> None:
    found = front_end.variables()
    assert {name: found[name] for name in FOUND_BY_RPY2} == {name: seen_by_r(name) for name in FOUND_BY_RPY2}


def test_what_is_set_stays_but_for_the_libraries_path(tmp_path: Path) -> None:
    home = tmp_path / "R"
    home.symlink_to(installed())
    code = "from server.workers.r import front_end; print(sorted(front_end.variables()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"R_HOME": str(home), "R_DOC_DIR": "/doc"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['LD_LIBRARY_PATH', 'R_ARCH', 'R_INCLUDE_DIR', 'R_SHARE_DIR']\n"


def test_r_is_started_once_and_not_in_other_processes_before(tmp_path: Path) -> None:
    home, programs = tmp_path / "R", tmp_path / "R" / "bin"
    programs.mkdir(parents=True)
    for part in (*installed().iterdir(), *installed().joinpath("bin").iterdir()):
        (home / part.relative_to(installed())).exists() or (home / part.relative_to(installed())).symlink_to(part)
    (programs / "Rscript").unlink()
    (programs / "Rscript").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
    (programs / "Rscript").chmod(0o755)
    code = "from server.workers.r import embedded; embedded.start(); print(embedded.version())"
    environment = os.environ | {"R_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() and not (tmp_path / "started").exists()
