"""Answering requests to a scoring script: each alone, its body as text, and what the script returns is the reply.

Nothing is imported here that a script might want in another version than Tandem's: no codec, and so no Arrow or numpy.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Protocol

import orjson

from server.wire import heads
from server.wire.frames import BodyFormat, Member, Pieces, ReplyCode, ReplyPayload, Result
from server.wire.schema import Schema
from server.workers.azureml_script import FAILED, Call, Caller, ScriptRequest, answer, nothing_asked
from server.workers.codecs import mls_reply, open_inference_script
from server.workers.errors import NotJson, RequestError, ScriptFailed, request_error
from server.workers.inflate import inflated
from server.workers.refusals import refusal

log = logging.getLogger(__name__)


_WRAPPED: dict[int, bytes] = {
    BodyFormat.KSERVE_V1: b'{"predictions":%b}',
    BodyFormat.MLFLOW: b'{"predictions":%b}',
    BodyFormat.VETIVER_PYTHON: b'{"predict":%b}',
}
"""What other servers' clients expect around what a script returned."""
_NOTHING = object()
_FAILED = orjson.dumps({"detail": FAILED})


class RawModel(Protocol):
    """A loaded script."""

    name: str
    version: str
    schema: Schema

    called: Caller
    """How the script is called for a request."""

    def run(self, call: Call, request_id: str) -> Any:
        """What the script returns. Raises ScriptFailed with the script's own words."""

    def reply(self, value: Any) -> bytes:
        """What the script returned, as JSON. Raises NotJson."""


def score(model: RawModel, members: Sequence[Member], max_inflated_bytes: int = 1 << 30) -> ReplyPayload:
    """Answer every member, one after the other, with the seconds spent decoding, running and encoding."""
    return _Batch(model, max_inflated_bytes).run(members)


class _Batch:
    def __init__(self, model: RawModel, max_inflated_bytes: int) -> None:
        self._model = model
        self._max_inflated_bytes = max_inflated_bytes
        self._decode_s = self._predict_s = self._encode_s = 0.0

    def run(self, members: Sequence[Member]) -> ReplyPayload:
        results = [self._answer(member) for member in members]
        return ReplyPayload(self._decode_s, self._predict_s, self._encode_s, results)

    def _answer(self, member: Member) -> Result:
        try:
            if member.content == BodyFormat.AZUREML:
                return self._azure(member)
            if member.content == BodyFormat.OPEN_INFERENCE:
                text, wanted = open_inference_script.asked(self._body(member), member.parameters)
                reply = self._reply(self._returned(member, ScriptRequest(text.encode())))
                told = open_inference_script.answered(self._model.name, self._model.version, reply, wanted)
                return Result(ReplyCode.OK, 1, *told)
            reply = self._reply(self._returned(member, ScriptRequest(self._body(member))))
            if member.accept == BodyFormat.MLS:
                return Result(ReplyCode.OK, 1, mls_reply.of_script(reply, member.parameters))
            return Result(ReplyCode.OK, 1, _WRAPPED.get(member.accept, b"%b") % reply)
        except (RequestError, MemoryError) as e:
            return self._refusal(request_error(e), member)

    def _azure(self, member: Member) -> Result:
        request = ScriptRequest(self._body(member), heads.read_request(member.parameters), azure=True)
        before_s = self._predict_s
        returned = self._returned(member, request)
        if returned is _NOTHING:
            return Result(ReplyCode.OK, 1, *nothing_asked())
        return Result(ReplyCode.OK, 1, *answer(returned, self._reply, (self._predict_s - before_s) * 1e3))

    def _refusal(self, error: RequestError, member: Member) -> Result:
        """Refuse a request, in a frame that the error does not hold: else both keep alive what the call allocated."""
        error.log_to(log, {"model": self._model.name, "request_id": member.request_id.decode("latin-1")})
        said = refusal(error)
        if member.content == BodyFormat.AZUREML and isinstance(error, ScriptFailed) and not isinstance(error, NotJson):
            return said._replace(body=_FAILED)
        return said

    def _body(self, member: Member) -> bytes | memoryview:
        assert not isinstance(member.body, Pieces)  # those are sent, never received
        if not member.encoding:
            return member.body
        started = perf_counter()
        try:
            return inflated(member.body, member.encoding, self._max_inflated_bytes)
        finally:
            self._decode_s += perf_counter() - started

    def _returned(self, member: Member, request: ScriptRequest) -> Any:
        """What the script returns for a request, or _NOTHING where it is not asked."""
        started = perf_counter()
        try:
            call = self._model.called(request)
        finally:
            ready = perf_counter()
            self._decode_s += ready - started
        if call is None:
            return _NOTHING
        try:
            return self._model.run(call, member.request_id.decode("latin-1"))
        finally:
            self._predict_s += perf_counter() - ready

    def _reply(self, value: Any) -> bytes:
        started = perf_counter()
        try:
            return self._model.reply(value)
        finally:
            self._encode_s += perf_counter() - started
