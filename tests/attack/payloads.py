"""Payloads: what a model may try, each in a file that says how it ends with the sandbox and without it; and the models
that carry them.

    # Reads the key that signs tokens.
    # with: EACCES
    # without: done
    assert open(key, "rb").read(1)

A payload ends `done`, with `nothing` where it finds that nothing has changed, or with an error. Several ends are
joined by `or`. `at load:` is for what ends otherwise while the model is read; `only:` names a kind of machine.
A payload's names are those of `Targets`, `canary` (a file of the server's that is this payload's own), and what
carriers/runner.py or runner.R defines.
"""

from __future__ import annotations

import json
import pickle
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from tests.harness.tandem import run_r
from tests.server.pools.test_isolation import Source

FOLDER = Path(__file__).parent
R_NAMES = ("called", "environment", "binding", "formula", "family", "promise")
"""The models of carriers/models.R; all but the first attack where they are read."""
PYTHON_NAMES = ("pickle", "script")


@dataclass(frozen=True, slots=True)
class Targets:
    """What a payload is after: paths as the server sees them."""

    data: str
    key: str
    canaries: str
    loot: str
    models: tuple[str, ...]
    library_file: str
    port: int


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload's code, and how it may end."""

    name: str
    code: str
    ends: Mapping[str, tuple[str, ...]]

    def expected(self, sandbox: bool, at_load: bool = False) -> tuple[str, ...]:
        usual = self.ends["with" if sandbox else "without"]
        return self.ends.get("at load", usual) if sandbox and at_load else usual


@cache
def payloads(language: str) -> dict[str, Payload]:
    """Those for a language, `python` or `r`, and for this machine; by their names."""
    found = [_payload(path) for path in sorted((FOLDER / "payloads" / language).iterdir())]
    return {p.name: p for p in found if p.ends.get("only", (platform.machine(),)) == (platform.machine(),)}


def _payload(path: Path) -> Payload:
    code = path.read_text()
    stated = re.findall(r"^# (with|without|at load|only): (.+)$", code, re.MULTILINE)
    return Payload(path.stem, code, {which: tuple(ends.split(" or ")) for which, ends in stated})


# Carriers


def drop_all(folder: Path, r_models: Path, python_models: Path, targets: Targets) -> None:
    """Put the models that carry the payloads where models are read from, and files that nobody should run."""
    drop_python(folder, python_models, targets)
    drop_r(folder, r_models, targets)
    plant(r_models, python_models, targets.loot)


def drop_python(folder: Path, models: Path, targets: Targets) -> None:
    """A pickle and a script, which attack as they are read and each time that they are called."""
    runner = (FOLDER / "carriers/runner.py").read_text()
    attack = {"payloads": {p.name: p.code for p in payloads("python").values()}, "targets": asdict(targets)}
    source = f"{runner}\n\nATTACK = {attack!r}\n"
    (models / "pickle.pkl").write_bytes(pickle.dumps(Source(source + (FOLDER / "carriers/model.py").read_text())))
    made = folder / "script"
    made.mkdir()
    (made / "score.py").write_text(source + (FOLDER / "carriers/score.py").read_text())
    made.rename(models / "script")


def drop_r(folder: Path, models: Path, targets: Targets) -> None:
    """A function that attacks when it is called, models that attack when they are read, a library and a package."""
    given = folder / "attack.R"
    given.write_text(r_code(targets))
    native_library(folder, targets, models / Path(targets.library_file).name)
    run_r((FOLDER / "carriers/models.R").read_text(), str(models), str(given))


def r_code(targets: Targets) -> str:
    """What a model of R brings along."""
    codes = ",\n".join(f"{p.name} = quote({{\n{p.code}}})" for p in payloads("r").values())
    values = ", ".join(f"{name} = {_r_value(value)}" for name, value in asdict(targets).items())
    return f"payloads <- list({codes})\ntargets <- list({values})\n{(FOLDER / 'carriers/runner.R').read_text()}"


def _r_value(value: object) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"c({', '.join(map(_r_value, value))})"
    return f"{value}L" if isinstance(value, int) else json.dumps(value)


LIBRARY = """
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void attack(void) {
  char byte, name[4096];
  int key = open("KEY", O_RDONLY);
  snprintf(name, sizeof name, "LOOT/%s", getenv("ATTACK"));
  if (read(key, &byte, 1) == 1) close(open(name, O_CREAT | O_WRONLY, 0600));
}
"""


def native_library(folder: Path, targets: Targets, path: Path) -> None:
    """A library that reads the key when it is loaded, and then makes a file whose name the environment has."""
    source = folder / "library.c"
    source.write_text(LIBRARY.replace("KEY", targets.key).replace("LOOT", targets.loot))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(path), str(source)], check=True)


def plant(r_models: Path, python_models: Path, loot: str) -> None:
    """Put files beside the models that R and Python run by themselves where they find them."""
    for folder, name in ((r_models, "r"), (python_models, "python")):
        for path in (FOLDER / "payloads/planted" / name).iterdir():
            (folder / path.name).write_text(path.read_text().replace("LOOT", loot))


def plain_outcome(payload: Payload, targets: Targets) -> str:
    """How a payload of Python ends in a process that has nothing to do with Tandem: what this machine allows."""
    code = f"import sys; sys.path.insert(0, {str(FOLDER / 'carriers')!r}); import runner, json\n"
    code += "print(runner.met(sys.argv[1], json.loads(sys.argv[2])), end='')"
    given = json.dumps(asdict(targets) | {"canary": f"{targets.canaries}/{payload.name}"})
    command = [sys.executable, "-c", code, payload.code, given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout or f"killed by {-done.returncode}"
