"""The script runtime: one scoring script a pool, loaded by each worker for itself, on whatever interpreter it has."""

from __future__ import annotations

import platform
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from server.wire.models import Description, ModelSpec
from server.wire.schema import Schema
from server.workers.azureml_script import Call, Caller, Run, ScriptRequest, in_json, is_response, swagger_of
from server.workers.errors import LoadFailed, OutOfMemory, RequestError, ScriptFailed, lacks_memory
from server.workers.runtime import Runtime
from server.workers.script import entry
from server.workers.script.output import Output
from server.workers.script.reply import encoded

RAW = Schema((), (), raw=True)


class ScriptModel:
    """One loaded script."""

    schema = RAW

    def __init__(self, spec: ModelSpec, run: Run, caller: Caller, output: Output) -> None:
        self.name = spec.name
        self.version = spec.version
        self._folder = Path(spec.path).parent
        self.called = caller
        self.swagger = swagger_of(run)
        self._output = output

    def run(self, call: Call, request_id: str) -> Any:
        """Make one call of the script. Raises ScriptFailed, or OutOfMemory, whatever the script raises."""
        with self._output.of(request_id):
            try:
                return call()
            except BaseException as e:  # sys.exit() ends a request, not the worker
                kind = OutOfMemory if lacks_memory(e) else ScriptFailed
                raise kind(entry.words(e, self._folder)) from e

    def reply(self, value: Any) -> bytes:
        """A returned value as JSON. Raises NotJson, or Invalid where it is a response that refuses."""
        return in_json(value) if is_response(value) else encoded(value)


class ScriptRuntime(Runtime):
    """One scoring script, loaded in each worker."""

    name = "script"
    loads_in_worker = True

    def __init__(self) -> None:
        self._outputs: list[Output] = []

    def start(self) -> Mapping[str, str]:
        """Start without imports: the script may need its own versions of packages, and some packages start threads."""
        return {"python": platform.python_version()}

    def describe(self, spec: ModelSpec) -> Description:
        """Import the script, call init() and check its golden rows."""
        folder = Path(spec.path).parent
        before = _files(folder)
        model = self.load(spec)
        for number, golden in enumerate(spec.golden):
            _check_golden(model, number, golden)
        for name, stamp in _files(folder).items():
            if before.get(name) != stamp:
                raise LoadFailed(
                    "writes_to_its_folder",
                    f"the script writes the file {name} into its own folder, where every change is a new version; "
                    "write to tempfile.gettempdir()",
                )
        first = spec.golden[0] if spec.golden else {}
        return Description(
            schema=replace(RAW, swagger=model.swagger).to_data(),
            model_class=Path(spec.path).name,
            package=None,
            package_version=None,
            example=first.get("row"),
            example_prediction=first.get("response"),
            rowwise=False,
            batch_reason="a script takes one request at a time",
            golden_rows=len(spec.golden),
        )

    def load(self, spec: ModelSpec) -> ScriptModel:
        """Import the script and call init()."""
        output = Output(spec.name)
        output.take_over()
        self._outputs.append(output)
        with output.of(""):
            run, called = entry.load(Path(spec.path))
        return ScriptModel(spec, run, called, output)

    def on_idle(self) -> None:
        """Say what was left out of the log."""
        for output in self._outputs:
            output.on_idle()

    def after_fork(self, seed: int, scratch: Path, slot: int) -> None:
        """Give this fork random numbers of its own."""
        random.seed(seed)


def _check_golden(model: ScriptModel, number: int, golden: Mapping[str, Any]) -> None:
    if set(golden) != {"row", "response"}:
        raise LoadFailed(
            "bad_golden", f"golden row {number} of a script needs 'row', the body, and 'response', the reply"
        )
    try:
        call = model.called(ScriptRequest(orjson.dumps(golden["row"])))
        given = orjson.loads(model.reply(model.run(call, ""))) if call is not None else None
    except RequestError as e:
        raise LoadFailed("golden_mismatch", f"golden row {number} cannot be answered: {e}") from e
    if given != golden["response"]:
        raise LoadFailed(
            "golden_mismatch", f"golden row {number}: expected {golden['response']!r}, run() returns {given!r}"
        )


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file, at any depth."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(OSError):  # it may have gone meanwhile
            if path.is_file():
                found[str(path.relative_to(folder))] = path.stat().st_size, path.stat().st_mtime_ns
    return found
