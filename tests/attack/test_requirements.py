"""Packages that attack the server that installs them for a model: nothing of theirs runs outside of the sandbox."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.machine import sandbox
from tests.harness.tandem import Tandem, eventually
from tests.harness.wheels import source, wheel

needs_all = pytest.mark.skipif(not sandbox.available().full, reason=f"the kernel here offers {sandbox.available()}")

SCRIPT = """
import sys

def init(): pass

def run(raw_data):
    return sys.modules["shade"].VERSION if "shade" in sys.modules else __import__("shade").VERSION
"""
READS = """
import os
try:
    open({key!r}).read()
except OSError:
    os.write(2, b"attack: key kept\\n")
else:
    os.write(2, b"attack: key read\\n")
"""


def drop(server: Tandem, name: str, package: Callable[[Path], str]) -> None:
    made = server.folder / "made" / name
    made.mkdir(parents=True)
    (made / "requirements.txt").write_text(f"--no-index\n./{package(made)}\n")
    (made / "score.py").write_text(SCRIPT)
    made.rename(server.python_models / name)


@pytest.mark.parametrize("mode", [pytest.param("on", marks=needs_all), "off"])
def test_nothing_that_a_package_brings_runs_before_the_lock(
    mode: str, tandem_factory: Callable[..., Tandem], tmp_path: Path
) -> None:
    """Without a sandbox a package reads the signing key as it is put on the path, which shows that it tries to."""
    server = tandem_factory(sandbox=mode).start()
    built, started = tmp_path / "built", tmp_path / "started"
    code = READS.format(key=str(server.folder / "data" / "signing.key"))
    path_file = {"shade.pth": f"import sys; exec({code!r})\n"}
    customize = {"sitecustomize.py": code}
    python = {"shade-1.0.data/scripts/python": f'#!/bin/sh\ntouch {started}\nexec {sys.executable} "$@"\n'}
    drop(server, "source", lambda folder: source(folder, "shade", "1.0", f'open("{built}", "w").close()'))
    drop(server, "wheel", lambda folder: wheel(folder, "shade", "1.0", more=path_file | customize | python))
    eventually(lambda: server.score("wheel", {}).status_code == 200, 60)
    assert server.score("wheel", {}).json() == "1.0"
    failed = eventually(lambda: server.version("source", "failed"), 60)
    assert failed["code"] == "bad_requirements"
    said = set(re.findall("attack: key (?:kept|read)", server.log_path.read_text()))
    assert said == {"attack: key kept" if mode == "on" else "attack: key read"}
    assert (built.exists(), started.exists()) == (False, False)
    assert "shade-1.0.tar.gz has no wheel for this Python" in failed["reason"]
    assert "ask the operator for TANDEM_REQUIREMENTS=any" in failed["reason"]
