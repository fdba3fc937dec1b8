"""Where a sandbox cannot be had, or is no help: the server does not start, or says how far it goes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from server.machine import sandbox
from tests.harness.tandem import ROOT, Tandem, eventually

SPEED = {"rows": [{"speed": 10}]}
needs_all = pytest.mark.skipif(not sandbox.available().full, reason=f"the kernel here offers {sandbox.available()}")

WITHOUT_LANDLOCK = """
import ctypes, os, sys
library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(0x7FFF0000)))
create_ruleset, no_such_call = 444, ctypes.c_uint32(0x00050000 | 38)
assert library.seccomp_rule_add_array(rules, no_such_call, create_ruleset, 0, None) == 0
assert library.seccomp_load(rules) == 0
os.execv(sys.executable, [sys.executable, "-m", "server.cli", "serve"])
"""


@contextmanager
def on_an_older_kernel(tandem: Tandem) -> Iterator[subprocess.Popen[bytes]]:
    """The server where the kernel has no Landlock, as far as it can tell."""
    with tandem.log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_LANDLOCK],
            cwd=tandem.folder,
            env=tandem.environment | {"PYTHONPATH": str(ROOT)},
            stderr=log,
        )
    try:
        yield process
    finally:  # a test that fails shall not wait for it for ever
        process.kill()
        process.wait()


@needs_all
def test_where_the_sandbox_is_required_and_cannot_be_had_nothing_starts(tmp_path: Path) -> None:
    tandem = Tandem(tmp_path, sandbox="require")
    with on_an_older_kernel(tandem) as process:
        assert process.wait(timeout=60) != 0
    said = tandem.log_path.read_text()
    assert "TANDEM_SANDBOX=require" in said
    assert "partial (no landlock, seccomp)" in said


@needs_all
def test_where_a_part_of_it_cannot_be_had_the_rest_is_and_models_serve(tmp_path: Path) -> None:
    tandem = Tandem(tmp_path, r_workers=1)
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    with on_an_older_kernel(tandem) as process:
        eventually(lambda: httpx.get(f"{tandem.url}/health/ready").status_code == 200, timeout_s=60)
        assert tandem.score("cars", SPEED).status_code == 200
        assert tandem.get("/health/ready").json()["sandbox"]["r"] == "partial (no landlock, seccomp)"
        assert tandem.metric("tandem_sandbox_level", runtime="r") == 1
        process.terminate()
        assert process.wait(timeout=60) == 0


def test_the_data_folder_cannot_lie_where_models_read(tmp_path: Path) -> None:
    tandem = Tandem(tmp_path, data=tmp_path / "r_models" / "data")
    done = tandem.command("serve")
    assert done.returncode != 0
    assert "TANDEM_DATA" in done.stderr


def test_it_does_not_start_where_models_are(tmp_path: Path) -> None:
    """R would run a .Rprofile there, and Python take its modules from there, before anything is locked up."""
    tandem = Tandem(tmp_path / "here", r_models=tmp_path / "here", data=tmp_path / "data")
    done = tandem.command("serve")
    assert done.returncode != 0
    assert "start it in another folder" in done.stderr


def test_a_folder_that_is_replaced_is_read_all_the_same(tandem_factory: Callable[..., Tandem]) -> None:
    """A sandbox is let into a folder, not into its name."""
    tandem = tandem_factory(r_workers=1)
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    tandem.start()
    tandem.r_models.rename(tandem.folder / "before")
    tandem.r_models.mkdir()
    tandem.drop("later", "lm(dist ~ speed, cars)")
    eventually(lambda: tandem.score("later", SPEED).status_code == 200)
