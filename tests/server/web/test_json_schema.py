"""JSON Schema of a model: whatever the workers take fits it, and what it states of replies is what they send."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.web.json_schema import MAX_LEVELS, query_parameters, reply_schema, request_schema, row_schema, takes_image
from server.wire.schema import Input, Option, Output, Schema
from server.wire.snapshot import Entry
from server.workers.codecs.json import JSON
from server.workers.errors import BadBody, Invalid
from server.workers.options import asked
from server.workers.table import to_columns

LEVELS = ("north", "south")
INPUTS = [
    Input("x", "numeric", na=False),
    Input("y", "numeric"),
    Input("n", "integer", na=False),
    Input("flag", "logical"),
    Input("text", "string"),
    Input("region", "factor", LEVELS, na=False),
    Input("size", "ordered", LEVELS),
    Input("new", "factor", LEVELS, new_level="na"),
    Input("known", "string", LEVELS, na=False),
    Input("few", "numeric", allowed=(1.0, 2.0)),
    Input("counted", "numeric", logical="number"),
    Input("whole", "integer", na=False, logical="number"),
    Input("one", "numeric", allowed=(1.0, 2.0), logical="number"),
    Input("free", "numeric", allowed=(1.0, 2.0), new_level="na"),
    Input("left", "string", missing="na"),
    Input("day", "date"),
    Input("time", "datetime", tz="Europe/Vienna"),
]
OUTPUTS = (Output("response", "number"), Output("class", "label", LEVELS), Output("prob", "columns", columns=LEVELS))
EXAMPLE = {"x": 1.5, "y": None, "n": 1, "flag": True, "text": "a", "region": "north", "size": "south"}
EXAMPLE |= {"new": "west", "known": "north", "few": 1, "free": 3.5, "left": None}
EXAMPLE |= {"counted": True, "whole": False, "one": True}
EXAMPLE |= {"day": "2026-01-31", "time": "2026-01-31T12:30:00"}


def entry(*inputs: Input, outputs: tuple[Output, ...] = OUTPUTS, example: dict[str, Any] | None = None) -> Entry:
    return entry_of(Schema(inputs, outputs), example)


def entry_of(contract: Schema, example: dict[str, Any] | None = None) -> Entry:
    schema = contract.to_data()
    return Entry("mpg", "v1", "r", "r", "ready", "key", "mpg.rds", False, 1, 1e9, schema=schema, example=example)


TYPES: dict[str, Any] = {
    "object": lambda v: type(v) is dict,
    "array": lambda v: type(v) is list,
    "string": lambda v: type(v) is str,
    "boolean": lambda v: type(v) is bool,
    "number": lambda v: type(v) in (int, float),
    "integer": lambda v: type(v) is int or (type(v) is float and v.is_integer()),
    "null": lambda v: v is None,
}
KNOWN = {"type", "properties", "required", "additionalProperties", "items", "minItems", "enum", "anyOf", "oneOf"} | {
    "maxItems",
    "contentEncoding",
    "minimum",
    "maximum",
    "default",
    "example",
    "description",
    "format",  # it is a remark: a time without an offset is taken too
}


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Whether a value is valid under a schema, as far as JSON Schema is used here; nothing else may be used."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    numeric = type(value) in (int, float)
    checks = [
        "type" not in schema or TYPES[schema["type"]](value),
        "enum" not in schema or value in schema["enum"],
        "anyOf" not in schema or any(fits(one, value) for one in schema["anyOf"]),
        "oneOf" not in schema or sum(fits(one, value) for one in schema["oneOf"]) == 1,
        not numeric or schema.get("minimum", value) <= value <= schema.get("maximum", value),
    ]
    if type(value) is list:
        checks += [schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))]
        checks += [fits(schema.get("items", {}), one) for one in value]
    if type(value) is dict:
        properties = schema.get("properties", {})
        checks += [name in value for name in schema.get("required", ())]
        checks += [schema.get("additionalProperties", True) or name in properties for name in value]
        checks += [fits(properties[name], one) for name, one in value.items() if name in properties]
    return all(checks)


def taken(schema: Schema, body: Any) -> bool:
    """Whether the workers take a body."""
    try:
        question = JSON.decode(orjson.dumps(body), schema)
        asked(schema, question.output, question.options, b"")
        to_columns(schema, question.cells)
    except (BadBody, Invalid):
        return False
    return True


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**33), 2**33),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([*LEVELS, "NaN", "Inf", "-Inf", "west", "", 1.0, 2.0, 2**53, 2**31, -(2**31), []]),
    st.sampled_from(["2026-01-31", "2026-01-31T12:30:00Z", "2026-02-30"]),
)


@given(st.sampled_from(INPUTS), CELLS)
def test_a_cell_that_workers_take_fits_the_schema_and_others_do_not(spec: Input, cell: Any) -> None:
    """Both ways, except for what JSON Schema is not made to say: NaN is missing too, and text may be no date."""
    cell_schema = row_schema(entry(spec))["properties"][spec.name]
    takes = taken(Schema((spec,), OUTPUTS), {"rows": [{spec.name: cell}]})
    if takes or (cell != "NaN" and spec.type not in ("date", "datetime")):
        assert fits(cell_schema, cell) == takes


ROWS = st.lists(
    st.fixed_dictionaries(
        {name: st.one_of(CELLS, st.just(value)) for name, value in EXAMPLE.items()}, optional={"z": CELLS}
    ),
    max_size=2,
)
BODIES = st.one_of(
    st.fixed_dictionaries({"rows": ROWS}, optional={"output": st.sampled_from(["prob", "none"])}),
    ROWS.map(lambda rows: {"columns": {name: [row[name] for row in rows] for name in EXAMPLE}}),
    st.sampled_from([{}, {"rows": [], "columns": {}}, {"rows": [EXAMPLE], "other": 1}, [], None]),
)


@given(BODIES)
def test_a_body_that_workers_take_fits_the_schema(body: Any) -> None:
    if taken(Schema(tuple(INPUTS), OUTPUTS), body):
        assert fits(request_schema(entry(*INPUTS)), body)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"rows": []},
        {"rows": [EXAMPLE], "columns": {}},
        {"rows": [EXAMPLE], "outputs": "prob"},
        {"rows": [EXAMPLE], "output": "none"},
        {"rows": [{}]},
        {"columns": {"x": 1}},
        [],
    ],
)
def test_a_body_of_the_wrong_shape_fits_neither(body: Any) -> None:
    assert not taken(Schema(tuple(INPUTS), OUTPUTS), body)
    assert not fits(request_schema(entry(*INPUTS)), body)


def test_the_example_is_a_request_that_workers_take() -> None:
    schema = request_schema(entry(*INPUTS, example=EXAMPLE))
    assert schema["example"] == {"rows": [EXAMPLE]}
    assert fits(schema, schema["example"])
    assert taken(Schema(tuple(INPUTS), OUTPUTS), schema["example"])


def test_a_column_that_may_be_missing_is_not_required() -> None:
    required = row_schema(entry(*INPUTS))["required"]
    assert "left" not in required
    assert set(required) == {i.name for i in INPUTS} - {"left"}


def test_dates_are_told_by_their_format() -> None:
    cells = row_schema(entry(Input("d", "date", na=False), Input("t", "datetime", na=False)))["properties"]
    assert cells == {"d": {"type": "string", "format": "date"}, "t": {"type": "string", "format": "date-time"}}


@pytest.mark.parametrize("extra", ["ignore", "refuse"])
def test_an_extra_column_is_as_welcome_as_the_schema_says(extra: Any) -> None:
    schema = Schema((INPUTS[0],), OUTPUTS, extra=extra)
    body = {"rows": [{"x": 1.5, "z": 1}]}
    assert fits(request_schema(entry_of(schema)), body) == taken(schema, body) == (extra == "ignore")


# Options

OPTIONS = (
    Option("s", "numeric", default=0.5, minimum=0, maximum=2),
    Option("n", "integer", minimum=1),
    Option("link", "string", values=("logit", "probit")),
    Option("se", "logical", default=False),
)
WITH_OPTIONS = Schema((INPUTS[0],), OUTPUTS, OPTIONS)
FORECAST = Schema((), OUTPUTS, (Option("h", "integer", minimum=1), *OPTIONS), horizon=True)
DEFAULTED = Schema((), OUTPUTS, (Option("h", "integer", default=10, minimum=1),), horizon=True)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 3),
    st.floats(-1, 3),
    st.sampled_from(["logit", "probit", "", "1", 1.0, 2**31, 1e300, []]),
)
OPTION_BODIES = st.fixed_dictionaries(
    {},
    optional={
        "options": VALUES
        | st.dictionaries(st.sampled_from(["s", "n", "link", "se", "h", "other"]), VALUES, max_size=3),
        "output": st.sampled_from(["response", "prob", "none", 1, None]),
        "rows": st.just([{"x": 1.5}]),
    },
)


@given(st.sampled_from([WITH_OPTIONS, FORECAST, DEFAULTED]), OPTION_BODIES)
def test_options_that_workers_take_fit_the_schema_and_others_do_not(schema: Schema, body: dict[str, Any]) -> None:
    """Except that any number which is too large for R fits, if the option has no maximum."""
    takes = taken(schema, body)
    if takes or not _too_large(body):
        assert fits(request_schema(entry_of(schema)), body) == takes


def _values(body: dict[str, Any]) -> list[Any]:
    options = body.get("options")
    return list(options.values()) if isinstance(options, dict) else []


def _too_large(body: dict[str, Any]) -> bool:
    return any(type(v) in (int, float) and v >= 2**31 for v in _values(body))


def test_the_query_has_the_output_and_every_option() -> None:
    parameters = {p["name"]: p["schema"] for p in query_parameters(entry_of(WITH_OPTIONS))}
    assert list(parameters) == ["output", "s", "n", "link", "se"]
    assert parameters["output"]["enum"] == ["response", "class", "prob"]
    assert parameters["s"] == {"type": "number", "minimum": 0, "maximum": 2}
    assert [p["name"] for p in query_parameters(entry(*INPUTS))] == ["output"]


def test_a_horizons_example_is_a_request_that_workers_take() -> None:
    schema = request_schema(entry_of(FORECAST))
    assert fits(schema, schema["example"])
    assert taken(FORECAST, schema["example"])


def test_levels_are_listed_up_to_a_limit_and_counted_beyond() -> None:
    few, many = (tuple(f"l{i}" for i in range(n)) for n in (MAX_LEVELS, MAX_LEVELS + 1))
    listed = row_schema(entry(Input("f", "factor", few, na=False)))["properties"]["f"]
    counted = row_schema(entry(Input("f", "factor", many, na=False)))["properties"]["f"]
    assert listed["enum"] == list(few)
    assert counted == {"type": "string", "description": "one of 501 levels"}


@pytest.mark.parametrize(
    "predictions",
    [[1.5, None, "NaN", "-Inf"], ["north", None], [{"north": 0.25, "south": None}, {"north": "Inf", "south": 1}]],
)
def test_a_reply_of_each_output_fits(predictions: list[Any]) -> None:
    reply = {"model": "mpg", "version": "v1", "predictions": predictions}
    assert fits(reply_schema(entry(*INPUTS)), reply)
    assert fits(reply_schema(entry(*INPUTS)), reply | {"warnings": ["w"]})


@pytest.mark.parametrize(
    "reply",
    [
        {"model": "other", "version": "v1", "predictions": []},
        {"model": "mpg", "version": "v1"},
        {"model": "mpg", "version": "v1", "predictions": [{"north": 1}]},
        {"model": "mpg", "version": "v1", "predictions": ["west"]},
        {"model": "mpg", "version": "v1", "predictions": [True]},
        {"model": "mpg", "version": "v1", "predictions": [], "more": 1},
    ],
)
def test_anything_else_is_no_reply(reply: Any) -> None:
    assert not fits(reply_schema(entry(*INPUTS)), reply)


@pytest.mark.parametrize(
    ("output", "values"),
    [(Output("o", "integer"), [1, None]), (Output("o", "logical"), [True, None]), (Output("o", "string"), ["a", None])],
)
def test_a_single_output_is_stated_by_its_type(output: Output, values: list[Any]) -> None:
    stated = reply_schema(entry(INPUTS[0], outputs=(output,)))["properties"]["predictions"]
    assert fits(stated, values)
    assert not fits(stated, [[]])


def test_a_script_takes_and_gives_what_it_likes() -> None:
    script = entry_of(Schema((), (), raw=True), {"question": "what?"})
    assert request_schema(script)["example"] == {"question": "what?"}
    assert query_parameters(script) == []
    for anything in (1, "text", [], {"a": None}):
        assert fits(request_schema(script), anything)
        assert fits(reply_schema(script), anything)


@given(st.recursive(st.integers(0, 9), lambda inner: st.lists(inner, max_size=3), max_leaves=12))
def test_a_tensor_is_taken_where_it_fits_its_schema(value: Any) -> None:
    one = entry(Input("x", "tensor", na=False, shape=(2, None)))
    assert fits(row_schema(one), {"x": value}) == taken(one_schema(one), {"rows": [{"x": value}]}) or ragged(value)


def ragged(value: Any) -> bool:
    """What JSON Schema cannot say: that all arrays of a dimension have one length."""
    return type(value) is list and len({len(one) for one in value if type(one) is list}) > 1


def one_schema(one: Entry) -> Schema:
    assert one.schema is not None
    return Schema.from_data(one.schema)


def test_only_a_model_of_one_image_takes_an_image_as_its_body() -> None:
    image = Input("image", "image", na=False)
    assert takes_image(entry(image))
    assert not takes_image(entry(image, Input("x", "numeric")))
    assert not takes_image(entry(Input("x", "tensor", shape=(1,))))
    assert fits(row_schema(entry(image)), {"image": "aA=="})


def test_a_ranking_fits_what_is_said_of_it() -> None:
    reply = reply_schema(entry(Input("x", "numeric"), outputs=(Output("top", "ranking"), Output("class", "label"))))
    body = {"model": "mpg", "version": "v1", "predictions": [[{"label": "a", "probability": 0.5}], "a"]}
    assert fits(reply, body)
    assert not fits(reply, body | {"predictions": [[{"label": "a"}]]})
