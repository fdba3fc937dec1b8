"""Answering one batch: decode each body, join the columns, predict once, split, encode each reply.

An error belongs to the request that has it. If predicting the batch fails, its members are predicted singly, so that
one request that the model cannot bear costs its neighbours a little time and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol, cast

from server.wire.frames import Member, Pieces, ReplyCode, ReplyPayload, Result
from server.wire.schema import Options, Schema
from server.workers.codecs import JoiningCodec, Question
from server.workers.codecs.registry import codec
from server.workers.errors import ModelFailed, RequestError, Unreadable, request_error
from server.workers.inflate import inflated
from server.workers.options import asked
from server.workers.predictions import Predictions
from server.workers.refusals import refusal
from server.workers.table import Column, to_columns

log = logging.getLogger(__name__)


class Model(Protocol):
    """A loaded model, whatever its runtime."""

    name: str
    version: str
    schema: Schema
    max_rows: int
    rowwise: bool
    """Whether requests may be predicted together."""

    def predict(self, columns: list[Column], sizes: Sequence[int], output: str, options: Options) -> Predictions:
        """Predict the rows of one or more requests in one call; `sizes` says how many rows each request has.

        Each request gets the bits that it would get alone. Without inputs, its size is the number of steps ahead.
        Raises ModelFailed.
        """


class _Warned(Exception):
    """The model warned about a batch: predict singly, so that each warning reaches the request it is about."""


@dataclass(slots=True)
class _Ask:
    """One request of the batch that could be decoded."""

    at: int
    member: Member
    question: Question
    rows: int
    output: str
    options: Options


def score(model: Model, members: Sequence[Member], max_inflated_bytes: int = 1 << 30) -> ReplyPayload:
    """Answer every member of a batch, in order, with the seconds spent decoding, predicting and encoding."""
    return _Batch(model, members, max_inflated_bytes).run()


class _Batch:
    def __init__(self, model: Model, members: Sequence[Member], max_inflated_bytes: int) -> None:
        self._model = model
        self._members = members
        self._max_inflated_bytes = max_inflated_bytes
        self._results: list[Result | None] = [None] * len(members)
        self._parts: dict[int, dict[str, Result]] = {}
        """The replies so far to requests that ask for several outputs, by output."""
        self._decode_s = self._predict_s = self._encode_s = 0.0

    def run(self) -> ReplyPayload:
        started = perf_counter()
        asks = self._decode()
        self._decode_s += perf_counter() - started
        alike: dict[tuple[str, Options], list[_Ask]] = {}
        for ask in asks:
            alike.setdefault((ask.output, ask.options), []).append(ask)
        for group in alike.values():
            for chunk in _chunks(group, self._model.max_rows) if self._model.rowwise else [[ask] for ask in group]:
                self._answer(chunk)
        results = [r for r in self._results if r is not None]
        return ReplyPayload(self._decode_s, self._predict_s, self._encode_s, results)

    def _decode(self) -> list[_Ask]:
        asks: list[_Ask] = []
        for at, member in enumerate(self._members):
            try:
                asks += self._asks(at, member)
            except Exception as e:
                self._refuse(at, member, request_error(e))
        return asks

    def _asks(self, at: int, member: Member) -> list[_Ask]:
        """What a request asks for: one output, or as many as its body names."""
        schema = self._model.schema
        body = member.body
        assert not isinstance(body, Pieces)  # those are sent, never received
        if member.encoding:
            body = inflated(body, member.encoding, self._max_inflated_bytes)
        form = codec(member.content)
        question = form.decode(body, schema, member.parameters)
        query = member.parameters if form.takes_query else b""
        output, options = asked(schema, question.output, question.options, query)
        rows = dict(options).get("h", question.rows) if schema.horizon else question.rows
        outputs = [output, *(asked(schema, other, question.options, query)[0] for other in question.more)]
        return [_Ask(at, member, question, rows, one, options) for one in outputs]

    def _answer(self, asks: list[_Ask]) -> None:
        """Answer requests together; what cannot be told apart while together is tried again one by one."""
        failed = self._tried(asks)
        if failed is None:
            return
        if len(asks) > 1:
            for ask in asks:
                self._answer([ask])
        else:
            self._refuse(asks[0].at, asks[0].member, request_error(failed))

    def _tried(self, asks: list[_Ask]) -> Exception | None:
        """Answer requests together; if that fails, why, without the frames that hold what the call had made."""
        try:
            self._encode(asks, self._predict(asks))
        except (RequestError, MemoryError, _Warned) as e:
            return e.with_traceback(None)
        return None

    def _predict(self, asks: list[_Ask]) -> Predictions:
        started = perf_counter()
        if len(asks) == 1:
            cells = asks[0].question.cells
        else:
            inputs = range(len(self._model.schema.inputs))
            cells = [[cell for ask in asks for cell in ask.question.cells[i]] for i in inputs]
        columns = self._columns(cells)
        sizes = [ask.rows for ask in asks]
        rows = sum(sizes)
        decoded = perf_counter()
        self._decode_s += decoded - started
        try:
            predictions = self._model.predict(columns, sizes, asks[0].output, asks[0].options)
        finally:
            self._predict_s += perf_counter() - decoded
        for column in predictions.columns:
            if len(column.values) != rows:
                raise ModelFailed(f"the model gave {len(column.values)} predictions for {rows} rows")
        if predictions.warnings and len(asks) > 1:
            raise _Warned
        return predictions

    def _columns(self, cells: list[Any]) -> list[Column]:
        try:
            return to_columns(self._model.schema, cells)
        except (RequestError, MemoryError):
            raise
        except Exception as e:
            raise Unreadable from e

    def _refuse(self, at: int, member: Member, error: RequestError) -> None:
        error.log_to(log, {"model": self._model.name, "request_id": member.request_id.decode("latin-1")})
        self._results[at] = refusal(error)

    def _encode(self, asks: list[_Ask], predictions: Predictions) -> None:
        started = perf_counter()
        encoders: dict[int, Any] = {}
        model = self._model
        start = 0
        for ask in asks:
            accept, question = ask.member.accept, ask.question
            if accept not in encoders:
                encoders[accept] = codec(accept).encoder(
                    model.name, model.version, predictions, model.schema, ask.output
                )
            stop = start + ask.rows
            warnings = question.warnings + predictions.warnings
            result = Result(ReplyCode.OK, ask.rows, *encoders[accept].encode(start, stop, warnings, question.wanted))
            if question.more:
                self._part(ask, result)
            else:
                self._results[ask.at] = result
            start = stop
        self._encode_s += perf_counter() - started

    def _part(self, ask: _Ask, result: Result) -> None:
        """Keep one output's reply; the last one makes the whole. A request of which one output fails gets no other."""
        parts = self._parts.setdefault(ask.at, {})
        parts[ask.output] = result
        names = ask.question.output, *ask.question.more
        if len(parts) == len(names):
            form = cast(JoiningCodec, codec(ask.member.accept))
            self._results[ask.at] = Result(ReplyCode.OK, ask.rows, *form.joined([parts[name][2:] for name in names]))


def _chunks(asks: list[_Ask], max_rows: int) -> list[list[_Ask]]:
    """Cut a batch where it would exceed the row limit; a single request is never cut."""
    chunks: list[list[_Ask]] = []
    rows = 0
    for ask in asks:
        if not chunks or rows + ask.rows > max_rows:
            chunks.append([])
            rows = 0
        chunks[-1].append(ask)
        rows += ask.rows
    return chunks
