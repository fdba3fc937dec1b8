"""scripts/step.sh says what set-up does, is never silent for long, and names what failed, the cause and the cure."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.tandem import ROOT

STEP = ROOT / "scripts" / "step.sh"
TITLE = "Some packages, step 2 of 5: many of them (about 1 min)"


def command(*run: str) -> list[str | Path]:
    return [STEP, "Some packages", "2", "5", "many of them (about 1 min)", *run]


def environment(folder: Path, tick_s: str = "60") -> dict[str, str]:
    return os.environ | {"TMPDIR": str(folder), "TANDEM_SETUP_TICK_S": tick_s}


def step(folder: Path, *run: str, tick_s: str = "60") -> subprocess.CompletedProcess[str]:
    env = environment(folder, tick_s)
    return subprocess.run(command(*run), env=env, capture_output=True, text=True, timeout=60)


def failed(folder: Path, printed: str, status: int = 1) -> str:
    """What a step says whose command printed that and failed."""
    done = step(folder, "sh", "-c", f'printf "%s\\n" "$1"; exit {status}', "sh", printed)
    assert done.returncode == status
    return done.stderr


def test_a_step_that_succeeds_says_which_it_is_and_nothing_of_what_its_command_prints(tmp_path: Path) -> None:
    done = step(tmp_path, "sh", "-c", "echo much; echo more >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{TITLE}\n", "")
    assert not list(tmp_path.iterdir())


def test_a_long_step_says_again_and_again_that_it_is_at_work(tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    env = environment(tmp_path, "0.2")
    wait = ("sh", "-c", 'until [ -e "$1" ]; do sleep 0.05; done', "sh", str(go_on))
    with subprocess.Popen(command(*wait), env=env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        lines = [running.stdout.readline() for _ in range(4)]
        go_on.touch()
        rest = running.stdout.read()
    assert running.returncode == 0
    assert lines[0] == f"{TITLE}\n"
    assert all(re.fullmatch(r"  still at it after \d+ s\n", line) for line in lines[1:])
    assert "\r" not in "".join(lines) + rest


def test_on_a_terminal_one_line_ticks(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    go_on = tmp_path / "go on"
    wait = ("sh", "-c", 'until [ -e "$1" ]; do sleep 0.05; done', "sh", str(go_on))
    with subprocess.Popen(command(*wait), env=environment(tmp_path, "0.2"), stdout=its) as running:
        seen = b""
        while seen.count(b" s") < 3:
            seen += os.read(ours, 100)
        go_on.touch()
    os.close(its)
    os.close(ours)
    assert running.returncode == 0
    assert re.search(rb"\r  \d+ s\r", seen)


@pytest.mark.parametrize(
    ("printed", "cause", "cure"),
    [
        (
            "Collecting pandas\nERROR: Could not install due to an OSError: [Errno 28] No space left on device",
            "No space left on device",
            "Make room",
        ),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...)': /simple/numpy/\n"
            "ERROR: No matching distribution found for numpy==2.4.6",
            "NewConnectionError",
            "the proxy",
        ),
        ("E: Failed to fetch http://deb/x.deb  Temporary failure resolving 'deb'", "Temporary failure", "the network"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "HASHES", "cache"),
        ("ERROR: No matching distribution found for numpy==2.4.6", "numpy==2.4.6", "for this Python"),
        ("x.c:1: fatal error: R.h: No such file\nERROR: Failed building wheel for rpy2-rinterface", "R.h", "headers"),
        ("E: Unable to locate package r-base-core", "r-base-core", "Debian 12 or 13"),
        ("E: Could not get lock /var/lib/dpkg/lock-frontend.", "Could not get lock", "wait for its end"),
        ("SSL: CERTIFICATE_VERIFY_FAILED", "CERTIFICATE_VERIFY_FAILED", "clock"),
        ("first\nE: something new\nlast", "E: something new", "Read what it printed"),
        ("only\nthis", "this", "Read what it printed"),
    ],
)
def test_a_step_that_fails_names_itself_the_cause_in_a_line_and_the_cure(
    tmp_path: Path, printed: str, cause: str, cure: str
) -> None:
    said = failed(tmp_path, printed)
    lines = said.splitlines()
    assert lines[0] == f"Set-up stopped at {TITLE}"
    assert lines[1].startswith("  Cause: ") and cause in lines[1]
    assert lines[2].startswith("  Cure: ") and cure in lines[2]
    assert len(lines) == 4


def test_a_command_that_fails_without_a_word_is_told_by_its_status_and_its_output_is_kept(tmp_path: Path) -> None:
    assert "ended with status 7 and said nothing" in failed(tmp_path, "", 7)
    said = failed(tmp_path, "E: all\nof it")
    assert Path(said.rpartition("All that it printed: ")[2].strip()).read_text() == "E: all\nof it\n"


def test_no_failure_is_blamed_on_rpy2_but_its_own() -> None:
    for script in (ROOT / "scripts").glob("*.sh"):
        assert "If rpy2" not in script.read_text()


def test_example_models_are_steps_of_those_that_are_missing(tmp_path: Path) -> None:
    for name in ("Makefile", "r_models/boston.rds", "python_models/digits.pt2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text() if name == "Makefile" else "")
    (tmp_path / "scripts").mkdir()
    for name in ("step.sh", "install-system.sh", "make-venv.sh"):
        (tmp_path / "scripts" / name).write_text('#!/bin/sh\necho "$@"\n')
        (tmp_path / "scripts" / name).chmod(0o755)
    done = subprocess.run(["make", "-s", "setup"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    told = re.findall(r"^Example models (\d) (\d) (\S+)", done.stdout, re.MULTILINE)
    assert [(k, n) for k, n, _ in told] == [(str(k), "5") for k in range(1, 6)], done.stderr
    assert [name for *_, name in told] == [
        *("r_models/mpg.rds", "r_models/am.rds", "r_models/iris.rds"),
        *("python_models/iris_logistic.joblib", "python_models/faq/model.joblib"),
    ]


def test_what_picks_a_part_of_the_tests_is_no_variable_that_r_reads() -> None:
    """R runs the file that R_TESTS names, and make hands its variables on to what it starts."""
    assert "$(R_TESTS)" not in (ROOT / "Makefile").read_text()
