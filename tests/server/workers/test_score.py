"""Answering a batch: together or alone, each request gets the same answer, and a fault stays with who has it."""

from __future__ import annotations

import gzip
import weakref
from array import array
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.frames import BodyFormat, Encoding, Member, ReplyCode, ReplyPayload, Result
from server.wire.schema import Input, Option, Options, Output, Schema
from server.workers.errors import Expired, ModelFailed, OutOfMemory
from server.workers.predictions import Predicted, Predictions
from server.workers.refusals import refuse_all
from server.workers.score import score
from server.workers.table import Column, to_columns

SCHEMA = Schema(
    (Input("x", "numeric"), Input("name", "string")),
    (Output("response", "number"), Output("both", "columns")),
    (Option("times", "numeric", minimum=1), Option("loud", "logical")),
)
UNBEARABLE = 666.0
WORRYING = 13.0


class Doubler:
    """A model in pure Python: doubles x, warns of 13, cannot bear 666. It remembers how it was called."""

    name = "doubler"
    version = "v1"
    schema = SCHEMA

    def __init__(self, max_rows: int = 1000, rowwise: bool = True) -> None:
        self.max_rows = max_rows
        self.rowwise = rowwise
        self.calls: list[tuple[str, list[float]]] = []
        self.options: list[Options] = []

    def predict(self, columns: list[Column], sizes: Sequence[int], output: str, options: Options) -> Predictions:
        values: list[Any] = list(columns[0])
        assert sum(sizes) == len(values)
        self.calls.append((output, values))
        self.options.append(options)
        if UNBEARABLE in values:
            raise ModelFailed("666 is too much for me")
        doubled = array("d", [2 * v * dict(options).get("times", 1) for v in values])
        warnings = ("13 is a worry",) if WORRYING in values else ()
        if output == "both":
            names = Predicted("string", columns[1])  # type: ignore[arg-type]
            return Predictions((Predicted("number", doubled), names), ("double", "name"), warnings)
        return Predictions((Predicted("number", doubled),), None, warnings)


def member(*values: Any, output: str = "response", **more: Any) -> Member:
    rows = [{"x": value, "name": str(value)} | more for value in values]
    return Member(orjson.dumps({"rows": rows, "output": output}))


def documents(reply: ReplyPayload) -> list[Any]:
    return [orjson.loads(result.body) for result in reply.results]


def codes(reply: ReplyPayload) -> list[int]:
    return [result.code for result in reply.results]


def predictions(reply: ReplyPayload) -> list[Any]:
    return [document.get("predictions") for document in documents(reply)]


def test_a_batch_is_one_call_and_each_request_gets_its_rows() -> None:
    model = Doubler()
    reply = score(model, [member(1, 2), member(3), member(4, 5)])
    assert predictions(reply) == [[2, 4], [6], [8, 10]]
    assert [result.rows for result in reply.results] == [2, 1, 2]
    assert model.calls == [("response", [1, 2, 3, 4, 5])]


def test_requests_for_different_outputs_are_called_apart_and_answered_in_order() -> None:
    model = Doubler()
    reply = score(model, [member(1), member(2, output="both"), member(3)])
    assert predictions(reply) == [[2], [{"double": 4, "name": "2"}], [6]]
    assert model.calls == [("response", [1, 3]), ("both", [2])]


def test_a_body_that_cannot_be_read_costs_nobody_else_a_call() -> None:
    model = Doubler()
    reply = score(model, [member(1), Member(b"{"), Member(b"[]"), member(2)])
    assert codes(reply) == [ReplyCode.OK, ReplyCode.BAD_BODY, ReplyCode.INVALID, ReplyCode.OK]
    assert model.calls == [("response", [1, 2])]


def test_rows_that_do_not_fit_are_told_to_their_request_with_its_own_row_numbers() -> None:
    reply = score(Doubler(), [member(1, 2), member(3, "four"), member(5)])
    assert codes(reply) == [ReplyCode.OK, ReplyCode.INVALID, ReplyCode.OK]
    [fault] = documents(reply)[1]["errors"]
    assert (fault["row"], fault["column"], fault["got"]) == (1, "x", 'the string "four"')
    assert reply.results[1].rows == 0


def test_a_request_that_the_model_cannot_bear_fails_alone() -> None:
    reply = score(Doubler(), [member(1), member(UNBEARABLE), member(2)])
    assert codes(reply) == [ReplyCode.OK, ReplyCode.MODEL_FAILED, ReplyCode.OK]
    assert predictions(reply) == [[2], None, [4]]
    assert documents(reply)[1] == {
        "detail": "the model could not predict these rows",
        "model_message": "666 is too much for me",
    }


def test_a_warning_is_told_to_the_request_it_is_about() -> None:
    reply = score(Doubler(), [member(1), member(2, WORRYING), member(3)])
    assert [document.get("warnings") for document in documents(reply)] == [None, ["13 is a worry"], None]


def test_what_was_ignored_and_what_the_model_warned_of_are_both_told() -> None:
    [document] = documents(score(Doubler(), [member(WORRYING, extra=1)]))
    assert document["warnings"] == ['column "extra" is not an input of this model and was ignored', "13 is a worry"]


class Miscounting(Doubler):
    """It predicts too many rows, or too few, in its last column."""

    def __init__(self, surplus: int) -> None:
        super().__init__()
        self._surplus = surplus

    def predict(self, columns: list[Column], sizes: Sequence[int], output: str, options: Options) -> Predictions:
        right = super().predict(columns, sizes, output, options)
        wrong = Predicted("number", array("d", [0.0] * (len(right) + self._surplus)))
        return Predictions((*right.columns[:-1], wrong), right.names)


@pytest.mark.parametrize("surplus", [1, -1])
@pytest.mark.parametrize("output", ["response", "both"])
def test_predictions_of_the_wrong_length_are_a_failed_model(surplus: int, output: str) -> None:
    reply = score(Miscounting(surplus), [member(1, 2, output=output), member(3, output=output)])
    assert codes(reply) == [ReplyCode.MODEL_FAILED] * 2
    assert documents(reply)[0]["model_message"] == f"the model gave {2 + surplus} predictions for 2 rows"


def test_requests_are_joined_up_to_the_row_limit() -> None:
    model = Doubler(max_rows=4)
    score(model, [member(1, 2), member(3, 4), member(5, 6), member(*range(9)), member(7)])
    assert [len(values) for _, values in model.calls] == [4, 2, 9, 1]


@given(st.integers(1, 6), st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_no_call_has_more_rows_than_the_limit_but_for_a_single_request(max_rows: int, sizes: list[int]) -> None:
    model = Doubler(max_rows)
    reply = score(model, [member(*range(size)) for size in sizes])
    called = [len(values) for _, values in model.calls]
    assert all(rows <= max_rows or rows in sizes for rows in called)
    assert sum(called) == sum(sizes)
    assert [len(p) for p in predictions(reply)] == sizes


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 1000))
def test_a_model_that_is_not_rowwise_never_sees_two_requests_in_one_call(sizes: list[int], max_rows: int) -> None:
    model = Doubler(max_rows, rowwise=False)
    reply = score(model, [member(*range(size)) for size in sizes])
    assert [len(values) for _, values in model.calls] == sizes
    assert [len(p) for p in predictions(reply)] == sizes


class Ahead(Doubler):
    """It takes no rows and counts up to the horizon."""

    def __init__(self, default: int | None = None, rowwise: bool = False) -> None:
        super().__init__(rowwise=rowwise)
        self.schema = Schema((), (Output("response", "number"),), (Option("h", "integer", default=default),), True)

    def predict(self, columns: list[Column], sizes: Sequence[int], output: str, options: Options) -> Predictions:
        assert columns == []
        [rows] = sizes
        assert rows == dict(options)["h"]
        self.calls.append((output, [rows]))
        return Predictions((Predicted("number", array("d", range(rows))),), None)


def test_a_horizon_is_the_number_of_rows_and_each_request_has_its_own() -> None:
    model = Ahead()
    reply = score(
        model, [Member(b'{"options":{"h":2}}'), Member(b"{}", parameters=b"h=3"), Member(b'{"options":{"h":2}}')]
    )
    assert predictions(reply) == [[0, 1], [0, 1, 2], [0, 1]]
    assert [r.rows for r in reply.results] == [2, 3, 2]
    assert len(model.calls) == 3


def test_a_horizon_that_is_not_said_is_the_models_own_or_refused() -> None:
    assert predictions(score(Ahead(default=4), [Member(b"{}")])) == [[0, 1, 2, 3]]
    assert codes(score(Ahead(), [Member(b"{}")])) == [ReplyCode.INVALID]


@pytest.mark.parametrize("content", [BodyFormat.ARROW, BodyFormat.CSV])
def test_a_model_with_a_horizon_takes_no_rows(content: int) -> None:
    large = b'{"rows":[' + b"{}," * 100_000 + b"{}]}"
    for one in (Member(large), Member(b'{"rows":[{}]}'), Member(b'{"columns":{}}'), Member(b"x\n1\n", content)):
        [code] = codes(score(Ahead(default=4), [one]))
        assert code in (ReplyCode.INVALID, ReplyCode.BAD_BODY)


# Options


def test_options_reach_the_model_and_only_equal_ones_share_a_call() -> None:
    model = Doubler()
    asks = [member(1), with_options(2, times=3), with_options(3, times=3.0), with_options(4, times=3, loud=True)]
    asks.append(Member(member(5).body, parameters=b"times=3"))
    assert predictions(score(model, asks)) == [[2], [12], [18], [24], [30]]
    assert [values for _, values in model.calls] == [[1], [2, 3, 5], [4]]
    assert model.options == [(), (("times", 3.0),), (("loud", True), ("times", 3.0))]


def with_options(x: float, **options: Any) -> Member:
    return Member(orjson.dumps({"rows": [{"x": x, "name": ""}], "options": options}))


def test_an_option_that_does_not_fit_fails_alone() -> None:
    reply = score(
        Doubler(), [member(1), with_options(2, times=0), member(3), Member(member(4).body, parameters=b"a=1")]
    )
    assert codes(reply) == [ReplyCode.OK, ReplyCode.INVALID, ReplyCode.OK, ReplyCode.INVALID]
    [fault] = documents(reply)[1]["errors"]
    assert (fault["row"], fault["column"]) == (None, "times")


# Body formats and encodings

CSV = b"x,name,extra\n1.5,a,1\n13,b,2\n"


def test_requests_in_any_format_share_a_call_and_each_is_answered_in_its_own() -> None:
    model = Doubler()
    sink = pa.BufferOutputStream()
    table = pa.table({"x": [4.5, 5.5], "name": ["", ""]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    members = [
        member(1, 2),
        Member(b"x,name\n3.5,a\n", BodyFormat.CSV, BodyFormat.CSV),
        Member(sink.getvalue().to_pybytes(), BodyFormat.ARROW, BodyFormat.ARROW),
        Member(b"x,name\n6.5,a\n", BodyFormat.CSV, BodyFormat.JSON),
    ]
    results = score(model, members).results
    assert model.calls == [("response", [1, 2, 3.5, 4.5, 5.5, 6.5])]
    assert orjson.loads(results[0].body)["predictions"] == [2, 4]
    assert results[1].body == b'"prediction"\n7.0\n'
    assert pa.ipc.open_stream(results[2].body).read_all().to_pydict() == {"prediction": [9, 11]}
    assert orjson.loads(results[3].body)["predictions"] == [13]


def test_warnings_that_a_reply_has_no_place_for_are_notes() -> None:
    [as_csv, as_json] = score(
        Doubler(), [Member(CSV, BodyFormat.CSV, BodyFormat.CSV), Member(CSV, BodyFormat.CSV, BodyFormat.JSON)]
    ).results
    expected = ['column "extra" is not an input of this model and was ignored', "13 is a worry"]
    assert orjson.loads(as_csv.notes) == expected
    assert (as_json.notes, orjson.loads(as_json.body)["warnings"]) == (b"", expected)


def test_a_compressed_body_is_inflated_up_to_the_cap() -> None:
    body = member(1).body
    packed = Member(gzip.compress(body), encoding=Encoding.GZIP)
    large = Member(gzip.compress(body + b" " * 10_000), encoding=Encoding.GZIP)
    wrong = Member(b"x", encoding=Encoding.ZSTD)
    reply = score(Doubler(), [packed, large, wrong], max_inflated_bytes=1000)
    assert codes(reply) == [ReplyCode.OK, ReplyCode.TOO_LARGE, ReplyCode.BAD_BODY]
    assert predictions(reply)[0] == [2]


def test_the_times_are_told() -> None:
    reply = score(Doubler(), [member(1)])
    assert reply.decode_s > 0
    assert reply.predict_s > 0
    assert reply.encode_s > 0


def test_a_body_format_that_no_codec_reads_is_a_bad_body() -> None:
    [result] = score(Doubler(), [Member(b"{}", content=99)]).results
    assert result.code == ReplyCode.BAD_BODY


def test_an_empty_batch_has_an_empty_reply() -> None:
    assert score(Doubler(), []).results == []


def test_a_refusal_of_all_says_the_same_to_each() -> None:
    reply = refuse_all([member(1), member(2)], Expired("too late"))
    assert reply.results == [Result(ReplyCode.EXPIRED, 0, b'{"detail":"too late"}')] * 2


CELL = st.one_of(
    st.floats(),
    st.integers(-(2**60), 2**60),
    st.sampled_from([UNBEARABLE, WORRYING, None, "NaN", "Inf", "wrong", True, 1.0, 2.0]),
)
MEMBER = st.one_of(
    st.builds(
        lambda values, output, more: member(*values, output=output, **more),
        st.lists(CELL, max_size=4),
        st.sampled_from(["response", "both", "nothing"]),
        st.sampled_from([{}, {"extra": 1}, {"name": 1}]),
    ),
    st.sampled_from([Member(b""), Member(b"{}"), Member(b"[]"), Member(b'{"rows":[{"x":1}]}'), Member(b"{}", 7)]),
    st.builds(
        lambda x, accept, query: Member(f"x,name\n{x},a\n".encode(), BodyFormat.CSV, accept, parameters=query),
        CELL,
        st.sampled_from(BodyFormat),
        st.sampled_from([b"", b"times=2", b"output=both", b"none=1"]),
    ),
    st.builds(lambda x: Member(orjson.dumps({"columns": {"x": x, "name": ["a"]}})), st.lists(CELL, max_size=2)),
)


@given(st.lists(MEMBER, max_size=8), st.integers(1, 8), st.booleans())
def test_a_batch_gives_each_request_what_it_would_get_alone(
    members: list[Member], max_rows: int, rowwise: bool
) -> None:
    together = score(Doubler(max_rows, rowwise), members).results
    assert together == [score(Doubler(), [one]).results[0] for one in members]


class Eaten:
    """Memory that a call has taken."""


class Hungry(Doubler):
    """Runs out of memory for more than one row. `held` are the objects of its calls that are still held by anyone."""

    def __init__(self) -> None:
        super().__init__()
        self.held: weakref.WeakSet[Any] = weakref.WeakSet()
        self.held_before: list[int] = []

    def predict(self, columns: list[Column], sizes: Sequence[int], output: str, options: Options) -> Predictions:
        self.held_before.append(len(self.held))
        eaten = Eaten()
        self.held.add(eaten)
        if sum(sizes) > 1:
            raise OutOfMemory("no room")
        return super().predict(columns, sizes, output, options)


def test_a_batch_that_is_too_much_for_the_memory_is_answered_one_by_one_with_the_memory_free_again() -> None:
    model = Hungry()
    reply = score(model, [member(1), member(2, 3), member(4)])
    assert codes(reply) == [ReplyCode.OK, ReplyCode.MODEL_FAILED, ReplyCode.OK]
    assert "TANDEM_WORKER_MEMORY_MB" in documents(reply)[1]["detail"]
    assert model.held_before == [0, 0, 0, 0]


def test_memory_that_runs_out_in_our_own_code_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> Any:
        raise MemoryError

    monkeypatch.setattr("server.workers.score.to_columns", no_room)
    [document] = documents(score(Doubler(), [member(1)]))
    assert "TANDEM_WORKER_MEMORY_MB" in document["detail"]


def test_whatever_reading_a_body_raises_is_a_bad_body_of_the_request_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def choke(schema: Schema, cells: list[Any]) -> list[Column]:
        if UNBEARABLE in cells[0]:
            raise RuntimeError("nobody thought of this")
        return to_columns(schema, cells)

    monkeypatch.setattr("server.workers.score.to_columns", choke)
    reply = score(Doubler(), [member(1), member(UNBEARABLE)])
    assert codes(reply) == [ReplyCode.OK, ReplyCode.BAD_BODY]
    monkeypatch.setattr("server.workers.codecs.json.JsonCodec.decode", lambda *_: 1 / 0)
    csv = Member(b"x,name\n1,a\n", BodyFormat.CSV)
    assert codes(score(Doubler(), [member(1), csv])) == [ReplyCode.BAD_BODY, ReplyCode.OK]


def test_what_a_worker_logs_of_a_request_has_its_id(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def choke(schema: Schema, cells: list[Any]) -> list[Column]:
        if "odd" in cells[1]:
            raise RuntimeError("nobody thought of this")
        return to_columns(schema, cells)

    monkeypatch.setattr("server.workers.score.to_columns", choke)
    members = [member(1), member(UNBEARABLE), member(2, name="odd"), Member(b"a,b\n1,2\n", BodyFormat.ARROW)]
    monkeypatch.setattr("server.workers.codecs.arrow.ArrowCodec.decode", lambda *_: 1 / 0)
    score(Doubler(), [one._replace(request_id=b"mine-%d" % at) for at, one in enumerate(members)])
    told = [(r.message, r.request_id, bool(r.exc_info)) for r in caplog.records]  # type: ignore[attr-defined]
    assert told == [
        ("a body could not be read", "mine-3", True),
        ("the model failed", "mine-1", False),
        ("a body could not be read", "mine-2", True),
    ]


def by_tensors(*values: float, outputs: tuple[str, ...] = ()) -> Member:
    inputs = [
        {"name": "x", "shape": [len(values)], "datatype": "FP64", "data": values},
        {"name": "name", "shape": [len(values)], "datatype": "BYTES", "data": list(map(str, values))},
    ]
    body = orjson.dumps({"inputs": inputs, "outputs": [{"name": name} for name in outputs]})
    return Member(body, BodyFormat.OPEN_INFERENCE, BodyFormat.OPEN_INFERENCE)


def test_requests_of_different_dialects_are_one_call_and_each_is_answered_in_its_own() -> None:
    model = Doubler()
    reply = score(model, [member(1), by_tensors(2, 3), member(4)])
    assert [values for _, values in model.calls] == [[1, 2, 3, 4]]
    native, tensors, other = documents(reply)
    assert (native["predictions"], other["predictions"]) == ([2], [8])
    assert tensors["outputs"][0]["data"] == [4, 6]
    assert [result.rows for result in reply.results] == [1, 2, 1]


def test_several_outputs_of_one_request_each_join_the_batch_of_theirs() -> None:
    model = Doubler()
    reply = score(model, [member(1), by_tensors(2, outputs=("both", "response")), member(3, output="both")])
    assert [(output, values) for output, values in model.calls] == [("response", [1, 2]), ("both", [2, 3])]
    outputs = documents(reply)[1]["outputs"]
    assert [(o["name"], o["data"]) for o in outputs] == [("both", ["4.0", "2"]), ("response", [4.0])]


def test_a_request_for_several_outputs_fails_whole_and_alone() -> None:
    reply = score(Doubler(), [member(1), by_tensors(UNBEARABLE, outputs=("both", "response")), member(3)])
    assert codes(reply) == [ReplyCode.OK, ReplyCode.MODEL_FAILED, ReplyCode.OK]
    reply = score(Doubler(), [by_tensors(1, outputs=("response", "none")), member(3)])
    assert codes(reply) == [ReplyCode.INVALID, ReplyCode.OK]
