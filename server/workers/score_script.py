"""Answering requests to a scoring script: each alone, its body as text, and what the script returns is the reply.

Nothing is imported here that a script might want in another version than Tandem's: no codec, and so no Arrow or numpy.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Protocol

from server.wire.frames import BodyFormat, Member, Pieces, ReplyCode, ReplyPayload, Result
from server.wire.schema import Schema
from server.workers.codecs import mls_reply, open_inference_script
from server.workers.errors import BadBody, RequestError, request_error
from server.workers.inflate import inflated
from server.workers.refusals import refusal

log = logging.getLogger(__name__)


_WRAPPED: dict[int, bytes] = {
    BodyFormat.KSERVE_V1: b'{"predictions":%b}',
    BodyFormat.MLFLOW: b'{"predictions":%b}',
    BodyFormat.VETIVER_PYTHON: b'{"predict":%b}',
}
"""What other servers' clients expect around what a script returned."""


class RawModel(Protocol):
    """A loaded script."""

    name: str
    version: str
    schema: Schema

    def run(self, text: str, request_id: str) -> Any:
        """What the script returns for one body. Raises ScriptFailed with the script's own words."""

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
        request_id = member.request_id.decode("latin-1")
        try:
            if member.content == BodyFormat.OPEN_INFERENCE:
                text, wanted = open_inference_script.asked(self._body(member), member.parameters)
                reply = self._reply(self._returned(text, request_id))
                told = open_inference_script.answered(self._model.name, self._model.version, reply, wanted)
                return Result(ReplyCode.OK, 1, *told)
            reply = self._reply(self._returned(self._text(member), request_id))
            if member.accept == BodyFormat.MLS:
                return Result(ReplyCode.OK, 1, mls_reply.of_script(reply, member.parameters))
            return Result(ReplyCode.OK, 1, _WRAPPED.get(member.accept, b"%b") % reply)
        except (RequestError, MemoryError) as e:
            return self._refusal(request_error(e), request_id)

    def _refusal(self, error: RequestError, request_id: str) -> Result:
        """Refuse a request, in a frame that the error does not hold: else both keep alive what the call allocated."""
        error.log_to(log, {"model": self._model.name, "request_id": request_id})
        return refusal(error)

    def _text(self, member: Member) -> str:
        started = perf_counter()
        try:
            return str(self._body(member), "utf-8")
        except UnicodeDecodeError as e:
            raise BadBody(f"the body is not text in UTF-8 (byte {e.start})") from e
        finally:
            self._decode_s += perf_counter() - started

    def _body(self, member: Member) -> bytes | memoryview:
        assert not isinstance(member.body, Pieces)  # those are sent, never received
        return inflated(member.body, member.encoding, self._max_inflated_bytes)

    def _returned(self, text: str, request_id: str) -> Any:
        started = perf_counter()
        try:
            return self._model.run(text, request_id)
        finally:
            self._predict_s += perf_counter() - started

    def _reply(self, value: Any) -> bytes:
        started = perf_counter()
        try:
            return self._model.reply(value)
        finally:
            self._encode_s += perf_counter() - started
