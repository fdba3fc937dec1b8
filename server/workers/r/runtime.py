"""The R runtime: models are .rds files, described and called by the R code beside this file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from server.machine import sandbox
from server.wire.models import Description, ModelSpec
from server.wire.schema import Options, Schema, SchemaError
from server.workers import forked, golden
from server.workers.errors import LoadFailed, ModelFailed, NotFinite, OutOfMemory, UnknownLevel, lacks_memory
from server.workers.predictions import Predicted, Predictions
from server.workers.r import embedded
from server.workers.r.embedded import RError
from server.workers.r.traces import RPart
from server.workers.runtime import Runtime
from server.workers.stated_inputs import corrected
from server.workers.table import Column
from server.workers.traces import Part

LONG_CALL_S = 0.02
"""A call that took so long may have copied the model (randomForest does). R itself would let such copies pile up in
each worker: 8 workers of a 208 MB forest held 4.4 times the memory of one process, with this 1.2 times."""

WARM_CALLS = 3
"""Calls of a model before its template forks: R compiles a function at its second call."""

WARMING_S = 1.0
"""Seconds of a call above which a model gains nothing from further calls before the template forks."""

OPTIONAL_SHARE, PROOF_SHARE = 1 / 6, 1 / 3
"""How much of the time that loading may take is for trying outputs that nobody may want, and for the proof."""

REHEARSALS = 2
"""Rehearsals before the first probe, so that R compiles its own functions once; else each probe spends 0.25 s on it."""

CURE = """the model does not say what columns it needs; say it in the sidecar:
schema:
  inputs:
    - {name: age, type: numeric}
    - {name: region, type: factor, levels: [north, south]}"""


DRAFTED = """the model does not say what columns it needs, but these names stand in it; correct their types and say it \
in the sidecar:"""

YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"})


class RModel:
    """One loaded R model: a schema and a scorer."""

    def __init__(self, spec: ModelSpec, schema: Schema, scorer: Any) -> None:
        self.name = spec.name
        self.version = spec.version
        self.schema = schema
        self.max_rows = spec.max_rows
        self.rowwise = spec.rowwise
        self._scorer = embedded.Scorer(scorer, [i.type for i in schema.inputs])

    def predict(self, columns: list[Column], sizes: Sequence[int], output: str, options: Options) -> Predictions:
        """Predict all rows in one call. Raises ModelFailed with R's own words."""
        started = perf_counter()
        try:
            value, names, levels, warnings, error = self._scorer(columns, output, sum(sizes), dict(options))
        except RError as e:
            raise ModelFailed(str(e)) from e
        if perf_counter() - started > LONG_CALL_S:
            embedded.collect_young_garbage()
        if error is not None:
            raise _failure(error)
        values = value if names is not None else [value]
        labels = tuple(levels) if levels is not None else None
        predicted = tuple(_predicted(v, labels) for v in values)
        return Predictions(predicted, tuple(names) if names is not None else None, tuple(warnings or ()))


def _failure(error: Sequence[str]) -> ModelFailed:
    if "input" in error[1:]:
        return UnknownLevel(error[0])
    if "memory" in error[1:] or lacks_memory(ModelFailed(error[0])):
        return OutOfMemory(error[0])
    # R says so of every vector that it hands to C or Fortran code which does not know infinity (dotcode.c).
    return (NotFinite if error[0].startswith("NA/NaN/Inf in foreign function call") else ModelFailed)(error[0])


def _predicted(value: Any, levels: tuple[str, ...] | None) -> Predicted:
    if isinstance(value, tuple):
        return Predicted("logical", value[1])
    if isinstance(value, list):
        return Predicted("string", value)
    return Predicted("number" if value.typecode == "d" else "integer", value, levels)


class RRuntime(Runtime):
    """R in this process."""

    name = "r"

    def start(self) -> Mapping[str, str]:
        """Start R."""
        embedded.start()
        _rehearse()
        embedded.call("know_timezone")
        embedded.call("load_starters")
        embedded.call("drop_tempdir")
        mode = "compiled (API)" if embedded.api_mode() else "slow (ABI): rpy2 was not compiled against this R"
        return {"r": embedded.version(), "blas": embedded.blas(), "rpy2": mode}

    def folders(self) -> Sequence[Path]:
        """The folders of R itself, and the libraries of its packages."""
        return [found for folder in embedded.call("r_folders") for found in sandbox.with_linked(Path(folder))]

    def shared(self) -> Sequence[Part]:
        """R's options, search path and global variables."""
        return (RPart(),)

    def describe(self, spec: ModelSpec) -> Description:
        """Read the file, find its schema, check its golden rows, prove whether it may be batched."""
        try:
            return _describe(spec)
        except RError as e:
            raise LoadFailed(e.code, str(e)) from e
        except SchemaError as e:
            raise LoadFailed("bad_schema", str(e)) from e

    def load(self, spec: ModelSpec) -> RModel:
        """Load a described model."""
        assert spec.schema is not None
        try:
            model = embedded.call_seldom("open_model", spec.path, spec.packages)
            loaded = RModel(spec, Schema.from_data(spec.schema), _scorer(model, spec, spec.schema["inputs"]))
        except RError as e:
            raise LoadFailed(e.code, str(e)) from e
        golden.rehearse(loaded, spec.example or {}, WARM_CALLS, WARMING_S)
        return loaded

    def before_fork(self) -> None:
        """Collect R's garbage, and give up the folder for temporary files, which forks must not share."""
        embedded.collect_garbage()
        embedded.call("drop_tempdir")

    def limit_memory(self, ceiling_bytes: int) -> None:
        """Set R's own limit. Where it is reached, R signals an error."""
        embedded.call("limit_memory", ceiling_bytes / 2**20)

    def free(self) -> None:
        """Have R free what lived only for a moment."""
        embedded.collect_young_garbage()

    def on_idle(self) -> None:
        """Write what R has printed into the log, and say what was left out."""
        embedded.printed.on_idle()

    def after_fork(self, seed: int, scratch: Path, slot: int) -> None:
        """Give this fork random numbers and a temporary folder of its own."""
        embedded.call("seed_worker", seed)
        embedded.call("new_tempdir", str(scratch))


def _is_rehearsal(spec: ModelSpec) -> bool:
    return not spec.model_key


def _rehearse() -> None:
    """Describe a small model before the first probe is forked: probes share what R compiles and loads on first use."""
    spec = ModelSpec(model_key="", name="", version="", path=embedded.call("save_small_model")[0])
    for _ in range(REHEARSALS):
        _describe(spec)


def _describe(spec: ModelSpec) -> Description:
    model = embedded.call_seldom("open_model", spec.path, spec.packages)
    example = golden.example(spec.golden)
    stated = [output["name"] for output in spec.outputs] or None
    budget_s = spec.load_timeout_s * OPTIONAL_SHARE
    try:
        found = embedded.call_seldom("describe_model", model, spec.arguments, None, example, stated, budget_s)
        facts = embedded.to_python(embedded.call_seldom("without_values", found))
    except RError as e:
        if e.code != "no_schema" or not spec.inputs:
            raise
        facts = {"inputs": []}  # what the model cannot say, the sidecar does
    warnings = [*(facts.get("warnings") or ()), *_zones_unknown(facts["inputs"] or [], spec.inputs)]
    if spec.inputs:
        inputs = corrected(_inputs(facts["inputs"] or []), spec.inputs)
        found = embedded.call_seldom("describe_model", model, spec.arguments, inputs, example, stated, budget_s)
        facts = embedded.to_python(embedded.call_seldom("without_values", found))
    horizon = bool(_first(facts["horizon"]))
    if not facts["inputs"] and not horizon:
        raise LoadFailed("no_schema", _cure(embedded.call("draft_inputs", model)))
    schema = Schema.from_data(
        {
            "inputs": corrected(_inputs(facts["inputs"] or []), spec.inputs),
            "outputs": _outputs(model, facts, spec.outputs),
            "options": _options(facts["options"] or {}),
            "horizon": horizon,
            "extra": spec.extra,
        }
    )
    scorer = _scorer(model, spec, schema.to_data()["inputs"])
    loaded = RModel(spec, schema, scorer)
    golden.check(loaded, spec.golden)
    row = {name: _example(_first(value)) for name, value in (facts["example"] or {}).items()}
    proof = embedded.to_python(
        embedded.call_seldom("prove_rowwise", scorer, found, 0.25, spec.load_timeout_s * PROOF_SHARE)
    )
    lives = _is_rehearsal(spec) or forked.survives(golden.calls(loaded, row), golden.calls_of_others(loaded, row))
    unproven = [name for name in stated or () if "reason" in facts["outputs"].get(name, ())]
    return Description(
        schema=schema.to_data(),
        model_class=", ".join(facts["class"]),
        package=_first(facts["package"]),
        package_version=_first(facts["package_version"]),
        example=row,
        example_prediction=_predicted_example(loaded, row),
        rowwise=bool(proof["rowwise"][0]) and not unproven,
        batch_reason=_first(proof["reason"])
        or (unproven and f"the output {unproven[0]} could not be proven: {_reason(facts, unproven[0])}")
        or f"{proof['rows'][0]} sample rows scored together and alone gave the same bits",
        golden_rows=len(spec.golden),
        load_warnings=[*warnings, *_warned(facts), *(_left_out(facts) if stated is None else ())],
        isolated=None if lives else forked.REASON,
        loads_in_worker=not lives,
    )


def _zones_unknown(found: Sequence[Mapping[str, Any]], stated: Sequence[Mapping[str, Any]]) -> list[str]:
    """A warning for each input of times whose zone changes the answers, and that neither file nor sidecar tells."""
    known = {one["name"] for one in stated if "tz" in one or one.get("type", "datetime") != "datetime"}
    names = [_first(one["name"]) for one in found if one.get("zone_unknown")]
    return [
        f"the zone of '{name}' is unknown: the formula takes its hour or its day, which are taken as those of UTC; for "
        f"times of another zone state tz in the sidecar, schema: {{inputs: [{{name: {name}, tz: Europe/Vienna}}]}}"
        for name in names
        if name not in known
    ]


def _failed(model: Any, reason: str) -> str:
    """Why predict() fails on the example row, with what would mend it where R's message tells."""
    cure = _first(embedded.call("cure_of_failure", model, reason))
    return cure or (
        f"predict() fails on the example row: {reason}; if that row is at fault, state a good one as a golden row in "
        "the sidecar"
    )


def _cure(draft: Sequence[Mapping[str, Any]]) -> str:
    """The lines to write into the sidecar: the columns that the model itself names, as far as it names any."""
    if not draft:
        return CURE
    lines = "".join(f"\n    - {_drafted(one)}" for one in draft)
    return f"{DRAFTED}\nschema:\n  inputs:{lines}"


def _drafted(one: Mapping[str, Any]) -> str:
    parts = {"name": _yaml(_first(one["name"])), "type": str(_first(one["type"]))}
    if one.get("levels"):
        parts["levels"] = f"[{', '.join(_yaml(level) for level in one['levels'])}]"
    return "{" + ", ".join(f"{key}: {value}" for key, value in parts.items()) + "}"


def _yaml(text: Any) -> str:
    """A text as YAML has it: plain where that is read as the same text, else quoted."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", str(text)) and str(text).lower() not in YAML_WORDS
    return str(text) if plain else json.dumps(str(text), ensure_ascii=False)


def _reason(facts: Mapping[str, Any], output: str) -> str:
    return str(_first(facts["outputs"][output]["reason"]))


def _warned(facts: Mapping[str, Any]) -> list[str]:
    return [f"predict() warns of the example row: {text}" for text in facts["warned"] or ()]


def _left_out(facts: Mapping[str, Any]) -> list[str]:
    """The warning of outputs that cost too much to be tried."""
    cure = "raise TANDEM_LOAD_TIMEOUT_S, or state it under outputs in the sidecar"
    names = [name for name, about in facts["outputs"].items() if "left_out" in about]
    return [f"the output {name} is left out: {_reason(facts, name)}; {cure}" for name in names]


def _predicted_example(model: RModel, row: Mapping[str, Any]) -> Any:
    with suppress(*golden.UNANSWERED):
        return golden.predict_row(model, row, model.schema.default_output)
    return None


def _scorer(model: Any, spec: ModelSpec, inputs: Sequence[Mapping[str, Any]]) -> Any:
    return embedded.call_r("make_scorer", model, inputs, spec.arguments)


def _inputs(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    inputs = []
    for one in found:
        about = {"name": _first(one["name"]), "type": _first(one["type"]), "tz": _first(one.get("tz"))}
        about |= {"na": bool(_first(one.get("na"))), "levels": one.get("levels"), "allowed": one.get("allowed")}
        inputs.append(about)
    return inputs


def _options(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "values": about.get("values")}
        | {part: _first(about.get(part)) for part in ("type", "default", "minimum", "maximum")}
        for name, about in found.items()
    ]


def _outputs(model: Any, facts: Mapping[str, Any], stated: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The outputs that answered for the example, the default first; where the sidecar states outputs, those."""
    if stated:
        return [dict(o) for o in stated]
    default = _first(facts["default_output"])
    found = facts["outputs"]
    if "reason" in found[default]:
        raise LoadFailed("predict_fails", _failed(model, str(_first(found[default]["reason"]))))
    names = [default, *(name for name in found if name != default)]
    return [
        {"name": name, "type": _first(o["type"]), "levels": o.get("levels"), "columns": o.get("columns")}
        for name, o in ((name, found[name]) for name in names)
        if "reason" not in o
    ]


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else None


def _example(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
