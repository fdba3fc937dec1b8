"""The oracle's cases: fitted and answered by plain R (`run.R`), then served by a real Tandem."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.harness.tandem import START_TIMEOUT_S, Tandem, eventually

HERE = Path(__file__).resolve().parent
RUN = HERE / "run.R"
FEWEST_ROWS = 200
PROCESSES = 2
FIT_TIMEOUT_S = 240
LOAD_TIMEOUT_S = 120  # for one model; the longest takes some seconds


@dataclass(frozen=True, slots=True)
class Listed:
    """One output of one case, before anything is fitted. `case` is empty where the file itself cannot be read."""

    file: str
    case: str = ""
    output: str = ""
    error: str | None = None

    @property
    def label(self) -> str:
        """The test's name."""
        return f"{self.case}-{self.output}" if self.case else self.file


@dataclass(frozen=True, slots=True)
class Answer:
    """What predict() said: a value per row, or where there are `names` several."""

    names: Sequence[str] | None
    kinds: Sequence[str]
    rows: Sequence[Sequence[Any]]

    @staticmethod
    def of(data: Mapping[str, Any]) -> Answer:
        """From run.R's JSON."""
        return Answer(data["names"], data["kinds"], list(zip(*data["columns"], strict=True)))


@dataclass(frozen=True, slots=True)
class Case:
    """One model with the rows to send and plain R's answers by output, for all rows and for some rows each alone."""

    name: str
    classes: Sequence[str]
    rows: Sequence[Mapping[str, Any]] | None
    options: Mapping[str, Any]
    expected: Mapping[str, Answer]
    alone: Mapping[str, Mapping[int, Answer]]
    error: str | None = None

    @staticmethod
    def of(name: str, data: Mapping[str, Any]) -> Case:
        """From run.R's JSON."""
        if "error" in data:
            return Case(name, (), None, {}, {}, {}, data["error"])
        rows = None if data["rows"] is None else [{} for _ in range(data["rows"])]
        for column, values in data["sent"].items():
            for row, value in zip(rows or (), values, strict=True):
                row[column] = value
        expected = {output: Answer.of(answers["all"]) for output, answers in data["expected"].items()}
        alone = {
            output: {
                at: Answer(answer.names, answer.kinds, [answer.rows[at]]) if one is None else Answer.of(one)
                for at, one in zip(data["alone"], data["expected"][output]["alone"], strict=True)
            }
            for output, answer in expected.items()
            if rows is not None
        }
        return Case(name, data["classes"], rows, data["options"], expected, alone)

    def request(self, output: str, rows: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
        """The body of a scoring request."""
        body: dict[str, Any] = {"output": output}
        if rows is not None:
            body["rows"] = rows
        if self.options:
            body["options"] = self.options
        return body


def _environment() -> dict[str, str]:
    """One locale wherever it runs: it decides in which order levels stand."""
    return os.environ | {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}


def _rscript(*arguments: object, timeout_s: float) -> subprocess.CompletedProcess[str]:
    command = ["Rscript", "--vanilla", str(RUN), *map(str, arguments)]
    return subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=timeout_s)


def case_files() -> list[Path]:
    """One file for each class."""
    return sorted(path for path in HERE.glob("*.R") if path != RUN)


@cache
def listed() -> list[Listed]:
    """Every output of every case, as the files name them."""
    files = case_files()
    done = _rscript("list", *files, timeout_s=60)
    assert done.returncode == 0, done.stderr
    found = []
    for file, told in json.loads(done.stdout).items():
        stem = Path(file).stem
        if "error" in told:
            found.append(Listed(stem, error=told["error"]))
        for case, outputs in told.get("cases", {}).items():
            found += [Listed(stem, case, output) for output in outputs]
    return found


def serve(folder: Path, tandem: Tandem, among: Sequence[Listed]) -> tuple[dict[str, Case], dict[str, dict[str, Any]]]:
    """Have plain R fit and answer the cases, then a server load them; the cases and the server's details of them.

    Details are missing of what R could not save. Who calls this stops the server.
    """
    cases = _answered(folder, among)
    saved = [name for name, case in cases.items() if case.error is None]
    for name in saved:
        _drop(folder, tandem, name)
    tandem.start(wait=not saved)  # where R has refused all cases, the test says why, of a server that is up
    if saved:
        _await_settled(tandem, saved)
    return cases, {name: tandem.model(name)["versions"][0] for name in saved}


def _answered(folder: Path, among: Sequence[Listed]) -> dict[str, Case]:
    """A process for each file, two at a time."""
    names = _names(among)
    cases: dict[str, Case] = {}
    with ThreadPoolExecutor(PROCESSES) as pool:
        for found in pool.map(lambda file: _answered_of(folder, file, names[file]), names):
            cases |= found
    return cases


def _names(among: Sequence[Listed]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for one in among:
        if one.case and one.case not in names.setdefault(one.file, []):
            names[one.file].append(one.case)
    return names


def _answered_of(folder: Path, file: str, names: Sequence[str]) -> dict[str, Case]:
    try:
        done = _rscript(HERE / f"{file}.R", folder, *names, timeout_s=FIT_TIMEOUT_S)
        reason = done.stderr[-2000:] if done.returncode else "run.R left no answer"
    except subprocess.TimeoutExpired:
        reason = f"not done in {FIT_TIMEOUT_S} s"
    return dict(_read(folder, names, reason))


def _read(folder: Path, names: Sequence[str], reason: str) -> Iterator[tuple[str, Case]]:
    for name in names:
        path = folder / f"{name}.json"
        data = json.loads(path.read_text()) if path.exists() else {"error": reason}
        yield name, Case.of(name, data)


def _drop(folder: Path, tandem: Tandem, name: str) -> None:
    for path in (folder / f"{name}.yaml", folder / f"{name}.rds", folder / name):
        if path.exists():
            path.rename(tandem.r_models / path.name)


def _await_settled(tandem: Tandem, saved: Sequence[str]) -> None:
    """Return when no model is loading, or when all that are hang: those fail their own tests."""
    eventually(lambda: tandem.get("/health/live", None).status_code == 200, START_TIMEOUT_S)
    loading = _loading(tandem, saved)
    while loading:
        try:
            eventually(lambda before=loading: _loading(tandem, saved) != before, LOAD_TIMEOUT_S, every_s=0.5)
        except AssertionError:
            return
        loading = _loading(tandem, saved)


def _loading(tandem: Tandem, saved: Sequence[str]) -> set[str]:
    states = {model["model"]: model["state"] for model in tandem.get("/v1/models").json()}
    return {name for name in saved if states.get(name, "loading") == "loading"}


# Comparing


def differences(expected: Answer, given: Sequence[Any]) -> list[tuple[int, str]]:
    """The rows whose prediction is not, to the last bit, the expected one, with what is different."""
    if len(given) != len(expected.rows):
        return [(0, f"{len(given)} predictions for {len(expected.rows)} rows")]
    found = []
    for at, (values, prediction) in enumerate(zip(expected.rows, given, strict=True)):
        difference = _difference(expected, values, prediction)
        if difference:
            found.append((at, difference))
    return found


def _difference(expected: Answer, values: Sequence[Any], prediction: Any) -> str | None:
    if isinstance(prediction, dict):
        names = list(expected.names or ())
        if list(prediction) != names:
            return f"columns {names} expected, got {list(prediction)}"
        cells = [(name, prediction[name]) for name in names]
    elif len(values) == 1:
        cells = [("", prediction)]
    else:
        return f"{len(values)} columns expected, got {prediction!r}"
    for kind, value, (name, cell) in zip(expected.kinds, values, cells, strict=True):
        if not same(kind, value, cell):
            where = f"{name}: " if name else ""
            return f"{where}{_shown(kind, value)} expected, got {cell!r}"
    return None


def same(kind: str, expected: Any, given: Any) -> bool:
    """Whether a cell of a reply is what R holds: doubles bit for bit, all else exactly, with its type."""
    if expected is None or kind != "double":
        return type(given) is type(expected) and given == expected
    if expected in ("NaN", "Inf", "-Inf"):
        return bool(given == expected)
    return type(given) is float and struct.pack("<d", given) == struct.pack("<d", float.fromhex(expected))


def _shown(kind: str, value: Any) -> str:
    hexadecimal = kind == "double" and value not in (None, "NaN", "Inf", "-Inf")
    return repr(float.fromhex(value) if hexadecimal else value)
