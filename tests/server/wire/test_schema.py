"""Schemas: what they refuse, and that they cross process borders unchanged."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.schema import INPUT_TYPES, Input, Option, Output, Schema, SchemaError

names = st.text(min_size=1, max_size=10)
levels = st.lists(names, min_size=1, max_size=5, unique=True).map(tuple)
plain_types = st.sampled_from([t for t in INPUT_TYPES if t not in ("factor", "ordered")])
zones = st.sampled_from([None, "UTC", "Europe/Vienna"])
policies = st.sampled_from(["refuse", "na"])
inputs = st.one_of(
    st.builds(Input, names, plain_types, na=st.booleans(), tz=zones),
    st.builds(Input, names, st.just("numeric"), allowed=st.lists(st.floats(-9, 9), min_size=1).map(tuple)),
    st.builds(Input, names, st.just("string"), levels, new_level=policies),
    st.builds(
        Input, names, st.sampled_from(["factor", "ordered"]), levels, tz=zones, new_level=policies, missing=policies
    ),
)
numbers = st.none() | st.integers(-5, 5) | st.floats(-5, 5)
options = st.builds(
    Option,
    names,
    st.sampled_from(["numeric", "integer", "string", "logical"]),
    st.none() | st.integers(0, 3) | st.booleans() | names,
    numbers,
    numbers,
    st.none() | levels,
)
outputs = st.builds(
    Output, names, st.sampled_from(["number", "label", "columns"]), st.none() | levels, st.none() | levels
)
some_outputs = st.lists(outputs, min_size=1, max_size=3).map(tuple)
schemas = st.one_of(
    st.builds(
        Schema,
        st.lists(inputs, min_size=1, max_size=5, unique_by=lambda i: i.name).map(tuple),
        some_outputs,
        st.lists(options, max_size=3).map(tuple),
        extra=st.sampled_from(["ignore", "refuse"]),
    ),
    st.builds(
        Schema, st.just(()), some_outputs, options.map(lambda o: (o, Option("h", "integer"))), horizon=st.just(True)
    ),
)

OUTPUT = {"name": "response", "type": "number"}


def data(*inputs: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": list(inputs), "outputs": [OUTPUT]}


@given(schemas)
def test_a_schema_crosses_a_process_border_unchanged(schema: Schema) -> None:
    assert Schema.from_data(orjson.loads(orjson.dumps(schema.to_data()))) == schema


def test_absent_members_are_left_out_of_the_data() -> None:
    schema = Schema((Input("x", "numeric"),), (Output("response", "number"),))
    assert schema.to_data() == {"inputs": [{"name": "x", "type": "numeric", "na": True}], "outputs": [OUTPUT]}


def test_inputs_keep_the_models_order_and_the_first_output_is_the_default() -> None:
    schema = Schema(
        (Input("b", "numeric"), Input("a", "string")), (Output("class", "label", ("u",)), Output("prob", "columns"))
    )
    assert schema.input_names == ["b", "a"]
    assert schema.default_output == "class"


def test_levels_are_numbered_from_one_in_their_order() -> None:
    assert Input("x", "factor", ("north", "south")).codes == {"north": 1, "south": 2}
    assert Input("x", "string").codes == {}


def test_missing_values_are_allowed_unless_said_otherwise() -> None:
    assert Schema.from_data(data({"name": "x", "type": "numeric"})).inputs[0].na


@pytest.mark.parametrize("type", ["factor", "ordered"])
@pytest.mark.parametrize("levels", [None, ()])
def test_a_factor_needs_levels(type: Any, levels: Any) -> None:
    with pytest.raises(SchemaError, match=r"'x' is a \w+ and needs levels"):
        Input("x", type, levels)


def test_only_a_factor_has_levels() -> None:
    with pytest.raises(SchemaError, match="levels"):
        Input("x", "numeric", ("a",))


def test_an_unknown_type_is_refused_with_those_known() -> None:
    with pytest.raises(SchemaError, match=r"'x' has type 'complex'; known are numeric, .*ordered"):
        Schema.from_data(data({"name": "x", "type": "complex"}))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({}, "inputs and outputs"),
        ({"inputs": [{"name": "x"}], "outputs": [OUTPUT]}, "a name and a type"),
        ({"inputs": ["x"], "outputs": [OUTPUT]}, "a name and a type"),
        ({"inputs": None, "outputs": [OUTPUT]}, "inputs and outputs"),
        ({"inputs": [], "outputs": [OUTPUT]}, "at least one input"),
        ({"inputs": [{"name": "x", "type": "string"}], "outputs": []}, "one output"),
        (data({"name": "x", "type": "string"}, {"name": "x", "type": "numeric"}), "the same name"),
        (data({"name": "x", "type": "string", "na": False, "missing": "na"}), "'x' cannot be missing"),
        (
            data({"name": "x", "type": "factor", "levels": ["a"], "na": False, "new_level": "na"}),
            "'x' cannot be missing",
        ),
        ({"inputs": [], "outputs": [OUTPUT], "horizon": True}, "the option h"),
        (data({"name": "x", "type": "integer", "allowed": [1.0]}), "only numeric inputs have numbers that are allowed"),
        (data({"name": "x", "type": "string"}) | {"horizon": True}, "at least one input"),
        (data({"name": "x", "type": "string"}) | {"options": [{"name": "s"}]}, "a name and a type"),
        (
            data({"name": "x", "type": "string"}) | {"options": [{"name": "s", "type": "date"}]},
            "option 's' has type 'date'; known are numeric, integer, string, logical",
        ),
    ],
)
def test_what_is_not_a_schema_is_refused_with_a_reason(bad: dict[str, Any], reason: str) -> None:
    with pytest.raises(SchemaError, match=reason):
        Schema.from_data(bad)
