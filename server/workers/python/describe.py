"""What a probe finds out about a model: inputs, outputs, an example, what may be missing, golden rows, the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from server.wire.models import Description, ModelSpec
from server.wire.schema import Schema
from server.workers import forked, golden
from server.workers.errors import LoadFailed
from server.workers.python import missing, proof, reasons, samples
from server.workers.python.answers import Method
from server.workers.python.estimator import ReadModel
from server.workers.python.model import PythonModel

SAMPLE_ROWS = 64
PROOF_SHARE = 1 / 3
"""Share of the time that loading may take that is for the proof."""


def describe(spec: ModelSpec, read_model: ReadModel) -> Description:
    """Describe a model that was read. Raises LoadFailed and SchemaError."""
    found = read_model.inputs(spec.inputs)
    usual = read_model.usual([i["name"] for i in found])
    schema = _schema(spec, read_model, found, [{"name": name, "type": "number"} for name in read_model.methods])
    shapes: dict[str, dict[str, Any]] = {}
    methods = {name: _watched(read_model, name, method, shapes) for name, method in read_model.methods.items()}
    trial = PythonModel(spec, schema, read_model.feed(schema), methods)
    example = _example(spec, trial, samples.example(schema, usual))
    outputs = _outputs(spec, trial, example, shapes, read_model.age)
    inputs = _counting(_with_na(spec, trial, found, example))
    schema = _schema(spec, read_model, inputs, outputs)
    feed = read_model.feed(schema)
    model = PythonModel(spec, schema, feed, read_model.ready(feed))
    golden.check(model, spec.golden)
    rows, differs = proof.prove(model, samples.rows(schema, example, SAMPLE_ROWS), spec.load_timeout_s * PROOF_SHARE)
    about = read_model.about()
    alone = read_model.alone or _dies(model, example)
    return Description(
        schema=schema.to_data(),
        model_class=about.model_class,
        package=about.package,
        package_version=about.version,
        example=example,
        example_prediction=_answer(model, example),
        rowwise=differs is None,
        batch_reason=differs or f"{rows} sample rows scored together and alone gave the same bits",
        golden_rows=len(spec.golden),
        load_warnings=[*read_model.warnings, *golden.warned(model, example)],
        isolated=alone,
        loads_in_worker=alone is not None,
    )


def _dies(model: PythonModel, example: Mapping[str, Any]) -> str | None:
    """Why each worker must read the model itself: its library does not live on in a fork. None if it does."""
    lives = forked.survives(golden.calls(model, example), golden.calls_of_others(model, example))
    return None if lives else forked.REASON


def _example(spec: ModelSpec, trial: PythonModel, made_up: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the first golden row; else the author's example, if the model answers it; else a made-up row."""
    stated = golden.example(spec.golden)
    if stated is not None:
        return dict(stated)
    if spec.example is not None:
        given = {**made_up, **{name: value for name, value in spec.example.items() if name in made_up}}
        with suppress(*golden.UNANSWERED):
            golden.predict_row(trial, given, trial.schema.default_output)
            return given
    return dict(made_up)


def _schema(
    spec: ModelSpec, read_model: ReadModel, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]
) -> Schema:
    data = {"inputs": inputs, "outputs": outputs, "options": read_model.options, "extra": spec.extra}
    return Schema.from_data(data)


def _watched(read_model: ReadModel, name: str, method: Method, shapes: dict[str, dict[str, Any]]) -> Method:
    """A method that also notes what its answer looks like."""

    def watched(rows: Any) -> Any:
        value = method(rows)
        shapes[name] = read_model.output(name, value)
        return value

    return watched


def _outputs(
    spec: ModelSpec,
    trial: PythonModel,
    example: Mapping[str, Any],
    shapes: Mapping[str, dict[str, Any]],
    age: str | None,
) -> list[dict[str, Any]]:
    """The outputs that answered for the example, the default first; where the sidecar states outputs, only those."""
    default = trial.schema.default_output
    for output in trial.schema.outputs:
        try:
            golden.predict_row(trial, example, output.name)
        except golden.UNANSWERED as e:
            if output.name == default and not spec.outputs:
                raise LoadFailed("predict_fails", _failed(e, age)) from e
    if not spec.outputs:
        return [shapes[o.name] for o in trial.schema.outputs if o.name in shapes]
    for stated in spec.outputs:
        if stated["name"] not in shapes:
            raise LoadFailed("bad_schema", f"the model has no output '{stated['name']}'; it has {', '.join(shapes)}")
        width = len(shapes[stated["name"]].get("columns") or ())
        if stated.get("columns") and len(stated["columns"]) != width:
            raise LoadFailed(
                "bad_schema", f"the output '{stated['name']}' has {width} columns; the sidecar names another number"
            )
    return [shapes[o["name"]] | {k: v for k, v in o.items() if v is not None} for o in spec.outputs]


def _failed(error: Exception, age: str | None) -> str:
    faults = getattr(error, "faults", ())
    where = f" ({faults[0].column}: expected {faults[0].expected}, got {faults[0].got})" if faults else ""
    if age is not None and not faults:
        return f"the model was {age}, and fails on the example row ({reasons.words(str(error))}); {reasons.WAY_OUT}"
    return (
        f"the model fails on the example row: {error}{where}; if that row is at fault, state a good one as a golden "
        "row in the sidecar, and the type of a column under schema"
    )


def _with_na(
    spec: ModelSpec, trial: PythonModel, found: Sequence[Mapping[str, Any]], example: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The inputs, each with whether it may be missing. Where nobody says it, that is tried."""
    # Columns of one type are often treated alike, and then in few questions.
    open_ = [i["name"] for i in sorted(found, key=lambda i: str(i["type"])) if "na" not in i]
    bearing = missing.may_be(partial(_bears, trial, example), open_)
    optional = {i["name"] for i in spec.signature if i.get("optional")}
    inputs = [{"na": i["name"] in bearing, **i} for i in found]
    return [{"missing": "na", **i} if i["na"] and i["name"] in optional else i for i in inputs]


def _counting(inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The inputs, of which numbers take true and false as 1 and 0: pandas writes its columns of bool so."""
    return [{"logical": "number", **i} if i["type"] in ("numeric", "integer") else dict(i) for i in inputs]


def _bears(trial: PythonModel, example: Mapping[str, Any], names: Sequence[str]) -> bool:
    try:
        golden.predict_row(trial, {**example, **dict.fromkeys(names)}, trial.schema.default_output)
    except golden.UNANSWERED:
        return False
    return True


def _answer(model: PythonModel, row: Mapping[str, Any]) -> Any:
    with suppress(*golden.UNANSWERED):
        return golden.predict_row(model, row, model.schema.default_output)
    return None


def load(spec: ModelSpec, read_model: ReadModel) -> PythonModel:
    """A model that was described before, ready to be called."""
    assert spec.schema is not None
    schema = Schema.from_data(spec.schema)
    feed = read_model.feed(schema)
    return PythonModel(spec, schema, feed, read_model.ready(feed))
