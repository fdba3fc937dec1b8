"""CSV bodies: a cell's text becomes what it says and nothing else, and what does not fit is named by row and column."""

from __future__ import annotations

import csv as stdlib_csv
import io
import math
from array import array
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.schema import Input, InputType, Option, Output, Schema
from server.workers.codecs import Question
from server.workers.codecs.csv import BLOCK_BYTES, CSV
from server.workers.errors import MAX_FAULTS, BadBody, Fault, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_INTEGER, NA_REAL, to_columns
from tests.server.workers.codecs.bodies import bits, csv_cell

OUTPUTS = (Output("response", "number"),)
LEVELS = ("north", "süd", "NA", "", "a,b", "1")


def one(type: InputType, **more: Any) -> Schema:
    return Schema((Input("x", type, LEVELS if type in ("factor", "ordered") else None, **more),), OUTPUTS)


def decode(body: str | bytes, schema: Schema) -> Question:
    return CSV.decode(body if isinstance(body, bytes) else body.encode(), schema)


def column(type: InputType, *cells: str, beside: str | None = "1", **more: Any) -> Any:
    """The typed column of cells as they are written, beside another column."""
    schema = one(type, **more)
    body = "x,beside\n" + "".join(f"{cell},{beside}\n" for cell in cells)
    [found] = to_columns(schema, decode(body, schema).cells)
    return found


def faults(type: InputType, *cells: str, **more: Any) -> tuple[Fault, ...]:
    with pytest.raises(Invalid) as invalid:
        column(type, *cells, **more)
    return invalid.value.faults


def refused(body: str | bytes, schema: Schema) -> Invalid:
    with pytest.raises(Invalid) as invalid:
        decode(body, schema)
    return invalid.value


def same(found: Any, expected: list[Any]) -> bool:
    return [bits(v) if isinstance(v, float) else v for v in found] == [
        bits(v) if isinstance(v, float) else v for v in expected
    ]


# Cells: each is read the same whether its column is read at once or, because of another cell, one by one

CLOSER_LOOK: dict[str, str] = {"numeric": "9007199254740993", "integer": "1.5", "logical": "yes"}


@pytest.mark.parametrize(
    ("type", "cell", "expected"),
    [
        ("numeric", "1.5", 1.5),
        ("numeric", "-0", -0.0),
        ("numeric", "-0.0", -0.0),
        ("numeric", "+5", 5.0),
        ("numeric", " 5 ", 5.0),
        ("numeric", "\t5", 5.0),
        ("numeric", '"5"', 5.0),
        ("numeric", "5.", 5.0),
        ("numeric", ".5", 0.5),
        ("numeric", "007", 7.0),
        ("numeric", "1e5", 1e5),
        ("numeric", "1E+05", 1e5),
        ("numeric", "1e-400", 0.0),
        ("numeric", "5e-324", 5e-324),
        ("numeric", "1.7976931348623157e308", 1.7976931348623157e308),
        ("numeric", "0.1000000000000000055511151231257827", 0.1),
        ("numeric", "9007199254740992", 2.0**53),
        ("numeric", "-9007199254740992", -(2.0**53)),
        ("numeric", "9007199254740993.0", 2.0**53),
        ("numeric", "1e300", 1e300),
        ("numeric", "Inf", math.inf),
        ("numeric", "-Inf", -math.inf),
        ("numeric", "inf", math.inf),
        ("numeric", "-inf", -math.inf),
        ("numeric", "NA", NA_REAL),
        ("numeric", "", NA_REAL),
        ("integer", "7", 7),
        ("integer", "-7", -7),
        ("integer", "+7", 7),
        ("integer", "1.0", 1),
        ("integer", "1e2", 100),
        ("integer", "-0", 0),
        ("integer", "2147483647", 2**31 - 1),
        ("integer", "-2147483647", -(2**31) + 1),
        ("integer", "NA", NA_INTEGER),
        ("integer", "", NA_INTEGER),
        ("logical", "TRUE", 1),
        ("logical", "true", 1),
        ("logical", "True", 1),
        ("logical", "FALSE", 0),
        ("logical", "False", 0),
        ("logical", '"false"', 0),
        ("logical", "NA", NA_INTEGER),
        ("logical", "", NA_INTEGER),
        ("string", "NA", None),
        ("string", "", None),
        ("string", '"NA"', "NA"),
        ("string", '""', ""),
        ("string", "NaN", "NaN"),
        ("string", " NA", " NA"),
        ("string", "1.50", "1.50"),
        ("string", "TRUE", "TRUE"),
        ("string", '"a,b"', "a,b"),
        ("string", '"a ""b"""', 'a "b"'),
        ("string", '"a\nb\r\nc"', "a\nb\r\nc"),
        ("string", "süß 😀", "süß 😀"),
        ("factor", "süd", 2),
        ("factor", "NA", NA_INTEGER),
        ("factor", '"NA"', 3),
        ("factor", "", NA_INTEGER),
        ("factor", '""', 4),
        ("factor", '"a,b"', 5),
        ("factor", "1", 6),
        ("ordered", "north", 1),
        ("date", "2024-02-29", 19782.0),
        ("date", "0001-01-01", -719162.0),
        ("date", "NA", NA_REAL),
        ("date", "", NA_REAL),
        ("datetime", "1970-01-01T00:00:00.5Z", 0.5),
        ("datetime", "1970-01-01 01:00:00+01:00", 0.0),
        ("datetime", '"1970-01-01T00:00:01"', 1.0),
        ("datetime", "NA", NA_REAL),
    ],
)
def test_a_cell_is_what_it_says(type: Any, cell: str, expected: Any) -> None:
    assert same(column(type, cell), [expected])
    closer = CLOSER_LOOK.get(type)
    if closer is not None:
        told = faults(type, cell, closer)
        assert [f.row for f in told] == [1]


@pytest.mark.parametrize("text", ["NaN", "nan", "NAN", '"NaN"'])
def test_nan_is_a_number_and_not_na(text: str) -> None:
    for cells in ((text,), (text, "1e300")):
        value = column("numeric", *cells)[0]
        assert math.isnan(value)
        assert bits(value) & 0xFFFFFFFF != 1954


@pytest.mark.parametrize(
    ("type", "cell", "got"),
    [
        ("numeric", "many", 'the string "many"'),
        ("numeric", '"NA"', 'the string "NA"'),
        ("numeric", '""', 'the string ""'),
        ("numeric", "1_000", 'the string "1_000"'),
        ("numeric", '"1,5"', 'the string "1,5"'),
        ("numeric", "0x1F", 'the string "0x1F"'),
        ("numeric", "1e999", 'the string "1e999"'),
        ("numeric", "-1e999", 'the string "-1e999"'),
        ("numeric", "\uff11", 'the string "\uff11"'),
        ("numeric", "1 2", 'the string "1 2"'),
        ("numeric", "TRUE", 'the string "TRUE"'),
        ("numeric", "infinite", 'the string "infinite"'),
        ("numeric", "9007199254740993", "the number 9007199254740993"),
        ("numeric", "-9007199254740993", "the number -9007199254740993"),
        ("numeric", "+9007199254740994", "the number 9007199254740994"),
        ("numeric", "9" * 400, f'the string "{"9" * 40}"…'),
        ("integer", "1.5", "the number 1.5"),
        ("integer", "2147483648", "the number 2147483648.0"),
        ("integer", "-2147483648", "the number -2147483648"),
        ("integer", "9007199254740993", "the number 9007199254740993"),
        ("integer", "0x1F", 'the string "0x1F"'),
        ("integer", "1_0", 'the string "1_0"'),
        ("integer", "²", 'the string "²"'),
        ("integer", "Inf", 'the string "Inf"'),
        ("integer", "NaN", 'the string "NaN"'),
        ("integer", "TRUE", 'the string "TRUE"'),
        ("logical", "T", 'the string "T"'),
        ("logical", "1", 'the string "1"'),
        ("logical", "tRUE", 'the string "tRUE"'),
        ("logical", " TRUE", 'the string " TRUE"'),
        ("factor", "west", 'the string "west"'),
        ("factor", "North", 'the string "North"'),
        ("ordered", " north", 'the string " north"'),
        ("date", "2023-02-29", 'the string "2023-02-29"'),
        ("date", "31.1.2026", 'the string "31.1.2026"'),
        ("date", "19782", 'the string "19782"'),
        ("date", '"NA"', 'the string "NA"'),
        ("datetime", "12:30", 'the string "12:30"'),
        ("datetime", "0", 'the string "0"'),
    ],
)
def test_a_cell_that_does_not_fit_is_told_with_row_and_column(type: Any, cell: str, got: str) -> None:
    [fault] = faults(type, "NA", "", cell)
    assert (fault.row, fault.column) == (2, "x")
    assert fault.hint
    if type == "numeric" and cell == "9" * 400:
        assert fault.got.startswith("the number 999") or fault.got == got
    else:
        assert fault.got == got


@pytest.mark.parametrize("type", ["numeric", "integer"])
def test_logicals_are_numbers_where_a_model_of_python_takes_numbers(type: Any) -> None:
    told = column(type, "TRUE", "true", "True", "FALSE", "false", "False", "7", logical="number")
    assert list(told) == [1, 1, 1, 0, 0, 0, 7]
    [fault] = faults(type, "True", "T", logical="number")
    assert (fault.row, fault.got) == (1, 'the string "T"')
    assert [f.got for f in faults(type, "True")] == ['the string "True"']


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_double_goes_in_bit_for_bit(value: float) -> None:
    for text in (repr(value), f"{value:.17g}" if "." in f"{value:.17g}" or "e" in f"{value:.17g}" else repr(value)):
        assert same(column("numeric", text), [value])
        assert same(column("numeric", text, "1e300"), [value, 1e300])


@pytest.mark.parametrize("type", ["numeric", "integer", "logical", "string", "factor", "ordered", "date", "datetime"])
@pytest.mark.parametrize("cell", ["NA", ""])
def test_a_missing_value_is_refused_where_the_model_cannot_have_one(type: Any, cell: str) -> None:
    [fault] = faults(type, cell, na=False)
    assert (fault.row, fault.column, fault.got) == (0, "x", "null")


@pytest.mark.parametrize("cell", ["NaN", "nan", "-NaN"])
def test_nan_is_a_missing_value_too(cell: str) -> None:
    [fault] = faults("numeric", "1", cell, na=False)
    assert (fault.row, fault.column, fault.got) == (1, "x", 'the string "NaN"')
    [fault] = faults("numeric", "1e300", cell, na=False)
    assert fault.row == 1


def test_a_new_level_is_taken_as_a_missing_value_where_the_schema_says_so() -> None:
    assert column("factor", "west", "north", new_level="na") == array("i", [NA_INTEGER, 1])


def test_faults_of_all_columns_are_told_by_row_up_to_a_hundred() -> None:
    schema = Schema((Input("x", "numeric"), Input("n", "integer")), OUTPUTS)
    question = decode("n,x\n1.5,a\n2,b\n3.5,NA\n", schema)
    with pytest.raises(Invalid) as invalid:
        to_columns(schema, question.cells)
    assert [(f.row, f.column) for f in invalid.value.faults] == [(0, "x"), (0, "n"), (1, "x"), (2, "n")]
    assert len(faults("numeric", *["a"] * 200)) == MAX_FAULTS


# Lines

TWO = Schema((Input("a", "numeric"), Input("b", "string")), OUTPUTS)


def rows_of(body: str | bytes) -> list[tuple[Any, ...]]:
    question = decode(body, TWO)
    return list(zip(*to_columns(TWO, question.cells), strict=True))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_every_line_end_and_a_byte_order_mark_are_read(end: str, last: bool, bom: bytes) -> None:
    body = end.join(["a,b", "1.5,x", "2.5,y"]) + (end if last else "")
    assert rows_of(bom + body.encode()) == [(1.5, "x"), (2.5, "y")]


def test_columns_are_found_by_name_in_any_order() -> None:
    assert rows_of('"b","z","a"\n"x",?,1.5\n') == [(1.5, "x")]


def test_names_may_hold_anything() -> None:
    names = ["a,b", 'q"q', "né", "two\nlines", " spaced ", "NA", "1"]
    schema = Schema(tuple(Input(name, "numeric") for name in names), OUTPUTS)
    body = ",".join(map(csv_cell, names)) + "\n" + ",".join(str(i) for i in range(len(names))) + "\n"
    assert decode(body, schema).cells == [array("d", [i]) for i in range(len(names))]


def test_an_unnamed_first_column_as_r_writes_it_is_ignored_with_a_warning() -> None:
    question = decode('"","a","b"\n"1",1.5,"x"\n', TWO)
    assert question.warnings == ('column "" is not an input of this model and was ignored',)
    assert question.cells == [array("d", [1.5]), ["x"]]


@pytest.mark.parametrize("extra", ["1\n,2", "text\n,1", "TRUE\n,2026-01-31", "\n,", '"x,y"\n,"z"'])
def test_an_extra_column_is_ignored_whatever_it_holds(extra: str) -> None:
    first, second = extra.split("\n,")
    question = decode(f"a,b,c\n1,x,{first}\n2,y,{second}\n", TWO)
    assert question.cells == [array("d", [1, 2]), ["x", "y"]]
    assert question.warnings == ('column "c" is not an input of this model and was ignored',)


def test_an_extra_column_is_refused_where_the_schema_says_so() -> None:
    strict = Schema(TWO.inputs, OUTPUTS, extra="refuse")
    for cell in ("1", "not a number"):
        [fault] = refused(f"a,b,c\n{cell},x,2\n", strict).faults
        assert (fault.row, fault.column) == (None, "c")


def test_a_column_that_is_not_there_is_told_by_name_or_taken_as_missing_values() -> None:
    schema = Schema((*TWO.inputs, Input("c", "factor", ("u",), missing="na")), OUTPUTS)
    assert [(f.row, f.column) for f in refused("c\nu\n", schema).faults] == [(None, "a"), (None, "b")]
    assert to_columns(schema, decode("a,b\n1,x\n", schema).cells)[2] == array("i", [NA_INTEGER])


@pytest.mark.parametrize("header", ["a,b,a", "a,b,c,c", "a,b,,"])
def test_a_column_that_is_there_twice_is_refused(header: str) -> None:
    body = header + "\n" + ",".join("1" for _ in header.split(",")) + "\n"
    [fault] = refused(body, TWO).faults
    assert (fault.column, fault.got) == (header.rpartition(",")[2], "the same name twice")


@pytest.mark.parametrize(
    ("body", "row", "expected", "got"),
    [
        ("a,b\n1,x\n2\n", 1, "2 cells", "1 cells"),
        ("a,b\n1,x\n\n2,y,z\n", 1, "2 cells", "3 cells"),
        ("a,b\n1,5,x\n", 0, "2 cells", "3 cells"),
        ('a,b\n1,"x\ny"\n2\n', 1, "2 cells", "1 cells"),
    ],
)
def test_a_line_with_too_many_or_few_cells_is_told_by_its_row(body: str, row: int, expected: str, got: str) -> None:
    [fault] = refused(body, TWO).faults
    assert (fault.column, fault.expected, fault.got) == (None, expected, got)
    assert fault.row == row


@pytest.mark.parametrize("body", ["a,b\n", "a,b\r\n", '"a","b"\n', "a,b\n\n\n"])
def test_a_header_without_rows_is_refused(body: str) -> None:
    assert "no rows" in refused(body, TWO).detail


def test_a_header_that_lacks_the_columns_is_refused() -> None:
    for body in ("1.5,x\n2.5,y\n", "\n\n", "x"):
        assert [f.column for f in refused(body + "\n", TWO).faults] == ["a", "b"]
    assert refused(b'{"rows":[{"a":1}]}\n1\n', one("numeric")).faults[0].column == "x"


def test_empty_lines_are_nothing_among_columns_and_a_missing_value_in_one() -> None:
    """Dropped from a single column, they would move every answer below to the wrong row."""
    assert rows_of("\na,b\n1,x\n\n2,y\n\n") == [(1, "x"), (2, "y")]
    for end in ("\n", "\r\n"):
        for name in ("x", '"x"'):
            body = end.join([name, "1", "", "3", ""])
            assert same(to_columns(one("numeric"), decode(body, one("numeric")).cells)[0], [1.0, NA_REAL, 3.0])


def test_a_single_column_whose_name_has_a_comma_is_a_single_column() -> None:
    schema = Schema((Input("a,b", "numeric"),), OUTPUTS)
    assert same(to_columns(schema, decode('"a,b"\n1\n\n3\n', schema).cells)[0], [1.0, NA_REAL, 3.0])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfea\0,\0b\0",
        b"a,\xff\n1,x\n",
        b"a,b\n1,\xc3\x28\n",
        b'a,b\n1,"x\n',
        b'"a,b\n1,x\n',
        b'a,b\n1,x"',
    ],
)
def test_what_is_no_csv_is_a_bad_body(body: bytes) -> None:
    with pytest.raises(BadBody, match="not CSV"):
        decode(body, TWO)


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest() -> None:
    """Pyarrow would take the body to be whole: one row, whose text is all that follows."""
    with pytest.raises(BadBody, match="quote"):
        decode('a,b\n1,"x\n2,y\n3,z\n', TWO)


@pytest.mark.parametrize("start", [b"x", b'"x\n"', b'"",x'])
def test_very_many_columns_are_refused_before_they_are_read(start: bytes) -> None:
    schema = Schema((Input("x", "numeric"),), OUTPUTS)
    wide = start + b",c" * 5_000_000 + b"\n1\n"
    with pytest.raises(BadBody, match="no more than 1010 are read"):
        CSV.decode(wide, schema)
    names = [b"x", *(b"c%d" % n for n in range(1009))]
    assert CSV.decode(b",".join(names) + b"\n" + b",".join([b"1"] * 1010) + b"\n", schema).rows == 1


def test_a_body_longer_than_a_block_is_read_whole() -> None:
    rows = BLOCK_BYTES // 8
    body = "a,b\n" + "".join(f'{i}.5,"t\n{i}"\n' for i in range(rows))
    assert len(body) > 2 * BLOCK_BYTES
    cells = decode(body, TWO).cells
    assert cells[0] == array("d", [i + 0.5 for i in range(rows)])
    assert cells[1] == [f"t\n{i}" for i in range(rows)]


def test_an_extra_column_that_changes_its_kind_in_a_later_block_does_not_matter() -> None:
    body = "a,b,c\n" + "1,x,1\n" * BLOCK_BYTES + "2,y,text\n"
    assert decode(body, TWO).rows == BLOCK_BYTES + 1


def test_a_cell_longer_than_a_block_is_read() -> None:
    text = "x" * (3 * BLOCK_BYTES)
    assert rows_of(f"a,b\n1,{text}\n2,y\n") == [(1, text), (2, "y")]


def test_a_fault_in_a_later_block_is_told_by_its_row() -> None:
    rows = BLOCK_BYTES // 2
    question = decode("a,b\n" + "1,x\n" * rows + "wrong,x\n", TWO)
    with pytest.raises(Invalid) as invalid:
        to_columns(TWO, question.cells)
    assert [(f.row, f.column) for f in invalid.value.faults] == [(rows, "a")]


def test_a_view_of_a_body_is_read_as_the_body() -> None:
    assert CSV.decode(memoryview(b"--a,b\n1,x\n--")[2:-2], TWO).cells == [array("d", [1]), ["x"]]


def test_a_model_with_a_horizon_takes_no_rows() -> None:
    schema = Schema((), OUTPUTS, (Option("h", "integer"),), horizon=True)
    assert "takes no rows" in refused("x\n1\n", schema).detail


CELLS = st.text('0129.-+eE xXNAanIifTFtrue"\n\r,_', max_size=6)


@given(st.sampled_from(["numeric", "integer", "logical", "string", "factor", "date"]), st.lists(CELLS, min_size=1))
def test_a_column_is_what_its_cells_are_alone(type: Any, texts: list[str]) -> None:
    """However a column is read, at once or cell by cell, the same rules hold."""
    cells = [csv_cell(text) if set(text) & set('"\n\r,') else text for text in texts]

    def attempt(*cells: str) -> list[Any] | None:
        try:
            found = column(type, *cells)
        except Invalid:
            return None
        return [bits(v) if isinstance(v, float) else v for v in found]

    alone = [attempt(cell) for cell in cells]
    together = attempt(*cells)
    if None in alone:
        assert [f.row for f in faults(type, *cells)] == [i for i, one in enumerate(alone) if one is None]
    else:
        assert together == [value for one in alone if one is not None for value in one]


@given(st.binary(max_size=60) | st.text('ab,"\n\r1.x', max_size=40).map(str.encode))
def test_any_bytes_are_a_question_or_refused(body: bytes) -> None:
    for schema in (TWO, one("numeric"), Schema((Input("a", "factor", ("x",), missing="na"),), OUTPUTS)):
        try:
            question = decode(body, schema)
            columns = to_columns(schema, question.cells)
        except (BadBody, Invalid):
            continue
        assert {len(c) for c in columns} == {question.rows}


# Replies


def encoded(predictions: Predictions, start: int = 0, stop: int | None = None, warnings: tuple[str, ...] = ()) -> str:
    stop = len(predictions) if stop is None else stop
    body, notes = CSV.encoder("mpg", "v1", predictions).encode(start, stop, warnings)
    assert notes == (orjson.dumps(list(warnings)) if warnings else b"")
    return body.decode()


def number(*values: float) -> Predicted:
    return Predicted("number", array("d", values))


@pytest.mark.parametrize(
    ("predicted", "lines"),
    [
        (number(1.5, NA_REAL, math.nan, math.inf, -math.inf, -0.0), ["1.5", "NA", "NaN", "Inf", "-Inf", "-0.0"]),
        (number(1e-5, 1e16, 0.1), ["1e-05", "1e+16", "0.1"]),
        (Predicted("integer", array("i", [3, NA_INTEGER])), ["3", "NA"]),
        (Predicted("logical", array("i", [1, 0, NA_INTEGER])), ["TRUE", "FALSE", "NA"]),
        (Predicted("string", ["a", None, "NA", "", 'q"']), ['"a"', "NA", '"NA"', '""', '"q"""']),
        (Predicted("integer", array("i", [2, 1, NA_INTEGER]), ("u,", "v")), ['"v"', '"u,"', "NA"]),
    ],
)
def test_a_predicted_column_is_one_cell_a_line(predicted: Predicted, lines: list[str]) -> None:
    assert encoded(Predictions((predicted,), None)) == "\n".join(['"prediction"', *lines, ""])


def test_named_columns_are_columns_with_a_header() -> None:
    predictions = Predictions((number(0.25, NA_REAL), Predicted("string", ["x,\ny", None])), ("a", 'b "ü"'))
    assert encoded(predictions) == '"a","b ""ü"""\n0.25,"x,\ny"\nNA,NA\n'


def test_each_request_gets_its_own_rows_and_warnings() -> None:
    predictions = Predictions((number(1, 2, 3),), None)
    assert encoded(predictions, 1, 3, ("wärning",)) == '"prediction"\n2.0\n3.0\n'


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_every_double_comes_out_in_text_that_reads_back_to_the_last_bit(values: list[float]) -> None:
    lines = encoded(Predictions((number(*values),), None)).splitlines()[1:]
    assert [bits(float(line)) for line in lines] == [bits(v) for v in values]


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_every_text_comes_out_as_any_reader_reads_it(texts: list[str]) -> None:
    body = encoded(Predictions((Predicted("string", texts), number(*range(len(texts)))), ("t", "n")))
    rows = list(stdlib_csv.reader(io.StringIO(body, newline="")))
    assert [row[0] for row in rows[1:]] == texts
