"""Output and options: from the body or from the query, checked against the schema, each fault told by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.schema import Input, Option, Output, Schema
from server.workers.errors import Fault, Invalid
from server.workers.options import asked

OUTPUTS = (Output("response", "number"), Output("prob", "columns"))
SCHEMA = Schema(
    (Input("x", "numeric"),),
    OUTPUTS,
    (
        Option("s", "numeric", minimum=0, maximum=10.5),
        Option("n.trees", "integer", minimum=1),
        Option("link", "string", values=("logit", "probit")),
        Option("free", "string"),
        Option("se", "logical"),
    ),
)
FORECAST = Schema((), OUTPUTS, (Option("h", "integer", minimum=1, maximum=100),), horizon=True)
PLAIN = Schema((Input("x", "numeric"),), OUTPUTS)


def options(given: Any, query: bytes = b"", schema: Schema = SCHEMA) -> dict[str, Any]:
    return dict(asked(schema, None, given, query)[1])


def refused(output: Any = None, given: Any = None, query: bytes = b"", schema: Schema = SCHEMA) -> Invalid:
    with pytest.raises(Invalid) as invalid:
        asked(schema, output, given, query)
    return invalid.value


def fault(*asked: Any, schema: Schema = SCHEMA) -> Fault:
    [one] = refused(None, *asked, schema=schema).faults
    assert one.row is None
    assert one.hint
    return one


# The output


def test_the_first_output_is_the_default() -> None:
    assert asked(SCHEMA, None, None, b"") == ("response", ())


@pytest.mark.parametrize(("output", "query"), [("prob", b""), (None, b"output=prob"), (None, b"output=pro%62")])
def test_an_output_is_named_in_the_body_or_in_the_query(output: Any, query: bytes) -> None:
    assert asked(SCHEMA, output, None, query)[0] == "prob"


@pytest.mark.parametrize("output", ["class", "", "PROB", 1, True, ["prob"], {}, {"prob": 1}])
def test_an_unknown_output_is_refused_with_those_there_are(output: Any) -> None:
    assert refused(output).detail == "this model has no such output; it has response, prob"


@pytest.mark.parametrize("query", [b"output=", b"output", b"output=class", b"output=%ff", b"output=\xff"])
def test_an_unknown_output_in_the_query_is_refused(query: bytes) -> None:
    assert refused(query=query).detail.endswith("it has response, prob")


# Options that fit


@pytest.mark.parametrize(
    ("name", "value", "text", "expected"),
    [
        ("s", 0.5, "0.5", 0.5),
        ("s", 0, "0", 0.0),
        ("s", 10.5, "1.05e1", 10.5),
        ("s", 1e-300, "1e-300", 1e-300),
        ("n.trees", 12, "12", 12),
        ("n.trees", 12.0, "12.0", 12),
        ("n.trees", 2**31 - 1, "2147483647", 2**31 - 1),
        ("link", "probit", "probit", "probit"),
        ("free", "a b&c=é", "a+b%26c%3D%C3%A9", "a b&c=é"),
        ("free", "", "", ""),
        ("free", "12", "12", "12"),
        ("se", True, "true", True),
        ("se", False, "false", False),
    ],
)
def test_an_option_is_the_same_from_the_body_and_from_the_query(
    name: str, value: Any, text: str, expected: Any
) -> None:
    [(_, found)] = options({name: value}).items()
    assert (type(found), found) == (type(expected), expected)
    assert options(None, f"{name}={text}".encode()) == options({name: value})


def test_numbers_that_are_equal_are_the_same_option() -> None:
    """Requests with equal options are predicted together, so 1 and 1.0 must not differ in type."""
    assert [type(v) for v in options({"s": 1}).values()] == [float]
    assert repr(asked(SCHEMA, None, {"s": 1}, b"")) == repr(asked(SCHEMA, None, {"s": 1.0}, b""))


def test_options_are_sorted_by_name_whatever_their_order() -> None:
    assert asked(SCHEMA, None, {"se": True, "link": "logit"}, b"s=1")[1] == (
        ("link", "logit"),
        ("s", 1.0),
        ("se", True),
    )
    assert options({}) == {}


# Options that do not


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("s", -0.1, "a number, at least 0, at most 10.5"),
        ("s", 11, "a number, at least 0, at most 10.5"),
        ("s", "1", "a number, at least 0, at most 10.5"),
        ("s", True, "a number"),
        ("s", None, "a number"),
        ("s", [1], "a number"),
        ("s", {}, "a number"),
        ("n.trees", 1.5, "a whole number, at least 1"),
        ("n.trees", 0, "a whole number, at least 1"),
        ("n.trees", 2**31, "a whole number, at least 1"),
        ("n.trees", 1e300, "a whole number, at least 1"),
        ("n.trees", 2**63, "a whole number, at least 1"),
        ("n.trees", False, "a whole number"),
        ("link", "cloglog", "one of logit, probit"),
        ("link", "", "one of logit, probit"),
        ("link", 1, "one of logit, probit"),
        ("link", ["logit"], "one of logit, probit"),
        ("free", 1, "a string"),
        ("free", "a\0b", "a string"),
        ("free", None, "a string"),
        ("se", 1, "true or false"),
        ("se", "true", "true or false"),
    ],
)
def test_a_value_that_does_not_fit_is_told(name: str, value: Any, expected: str) -> None:
    told = fault({name: value})
    assert told.column == name
    assert told.expected.startswith(expected)
    assert told.got == f"{str(value)[:40]!r}"


def test_a_whole_number_that_a_double_would_round_is_refused() -> None:
    wide = Schema(PLAIN.inputs, OUTPUTS, (Option("s", "numeric"),))
    assert options({"s": 2**53}, schema=wide) == {"s": 2.0**53}
    assert fault({"s": 2**53 + 1}, schema=wide).column == "s"
    assert options({"s": 1e300}, schema=wide) == {"s": 1e300}


@pytest.mark.parametrize(
    "query",
    [
        *(b"s=nan", b"s=inf", b"s=-inf", b"s=1e999", b"s=", b"s", b"s=1_0", b"s=+", b"s= 1", b"s=0x1", b"s=%D9%A1"),
        *(b"n.trees=1.5", b"n.trees=1_000", b"n.trees=" + b"9" * 5000, b"se=TRUE", b"se=1", b"se=", b"link=Logit"),
    ],
)
def test_text_in_the_query_that_is_none_of_the_type_is_refused(query: bytes) -> None:
    assert fault(None, query).column == query.partition(b"=")[0].decode()


def test_an_unknown_option_is_told_with_those_there_are() -> None:
    told = fault({"lambda": 1})
    assert (told.column, told.expected) == ("lambda", "one of s, n.trees, link, free, se")
    assert fault({"s": 1}, schema=PLAIN).expected == "no options"
    assert fault(None, b"lambda=1").column == "lambda"


def test_all_faults_are_told_at_once_and_a_long_name_is_cut() -> None:
    invalid = refused(None, {"s": "x", "n" * 300: 1, "se": 1})
    assert [f.column for f in invalid.faults] == ["n" * 100, "s", "se"]
    assert invalid.detail == "the options are not those of the model"


@pytest.mark.parametrize("given", [[], "s=1", 1, True, [["s", 1]]])
def test_options_that_are_not_an_object_are_refused(given: Any) -> None:
    assert refused(None, given).detail == '"options" must be an object'


@pytest.mark.parametrize(
    ("output", "given", "query"),
    [
        ("prob", None, b"output=prob"),
        (None, {"s": 1}, b"s=1"),
        (None, None, b"s=1&s=2"),
        (None, None, b"output=prob&output=prob"),
    ],
)
def test_what_is_named_twice_is_refused(output: Any, given: Any, query: bytes) -> None:
    assert refused(output, given, query).detail.endswith("is given twice")


# A horizon


def test_a_model_with_a_horizon_must_be_told_how_far() -> None:
    assert options({"h": 12}, schema=FORECAST) == {"h": 12}
    assert options(None, b"h=12", schema=FORECAST) == {"h": 12}
    assert (told := fault(None, schema=FORECAST)).column == "h"
    assert told.got == "nothing"
    assert fault({"h": 0}, schema=FORECAST).expected == "a whole number, at least 1, at most 100"
    assert fault({"h": 101}, schema=FORECAST).column == "h"


def test_a_default_horizon_is_said_aloud() -> None:
    """It is the number of rows of the reply, which others than the model have to know."""
    schema = Schema((), OUTPUTS, (Option("h", "integer", default=10),), horizon=True)
    assert options(None, schema=schema) == {"h": 10}
    assert options({"h": 3}, schema=schema) == {"h": 3}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(["s", "n.trees", "link", "free", "se", "h", "other"])
QUERIES = st.binary(max_size=20) | st.lists(
    st.tuples(NAMES | st.just("output"), st.sampled_from(["1", "prob", "true", "logit", ""])), max_size=3
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode())


@given(
    st.sampled_from([SCHEMA, FORECAST, PLAIN]),
    JSON_VALUES,
    JSON_VALUES | st.dictionaries(NAMES, JSON_VALUES, max_size=3),
    QUERIES,
)
def test_whatever_is_asked_is_an_option_of_its_type_or_refused(
    schema: Schema, output: Any, given: Any, query: bytes
) -> None:
    try:
        name, found = asked(schema, output, given, query)
    except Invalid:
        return
    assert name in ("response", "prob")
    types = {"numeric": float, "integer": int, "string": str, "logical": bool}
    kinds = {o.name: types[o.type] for o in schema.options}
    assert all(type(value) is kinds[option] for option, value in found)
    assert hash(found) is not None
