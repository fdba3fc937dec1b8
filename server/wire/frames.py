"""Frames: the only way in which bytes are laid out between a web process and a worker.

Owns the frame header and the payloads of SCORE and REPLY, byte by byte as `README.md` beside this file specifies
them (a test reads that file). Knows nothing of sockets, models or HTTP, and decodes nothing that it could execute:
a payload is lengths, small integers, doubles and opaque bodies. Whatever does not fit the specification raises
`WireError`; the receiver then closes the connection, because a stream that lied once cannot be resynchronised.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAGIC = b"TD"
VERSION = 1
HEADER = struct.Struct("<2sBBII")
SCORE_HEAD = struct.Struct("<IIH")
SCORE_MEMBER = struct.Struct("<IBBBHB")
REPLY_HEAD = struct.Struct("<Iddd")
REPLY_MEMBER = struct.Struct("<HIII")
CHANGED_HEAD = struct.Struct("<H")

MAX_MEMBERS = 65_536
MAX_CHANGED_BYTES = 4096
LARGE_BYTES = 1 << 16
"""Parts of at least this size are not copied: a copy costs more than the objects that avoid it."""


class FrameType(enum.IntEnum):
    """What a frame says."""

    SCORE = 1
    REPLY = 2
    PING = 3
    PONG = 4
    DRAIN = 5
    RECYCLE = 6
    RETURN = 7
    CHANGED = 8


class BodyFormat(enum.IntEnum):
    """How a request body is written, or a reply body shall be. One byte on the wire."""

    JSON = 1
    ARROW = 2
    CSV = 3
    JPEG = 4
    PNG = 5
    OPEN_INFERENCE = 6
    KSERVE_V1 = 7
    MLFLOW = 8
    AZUREML = 9
    MLS = 10
    VETIVER = 11
    VETIVER_PYTHON = 12


class Encoding(enum.IntEnum):
    """How a request body is compressed. One byte on the wire."""

    IDENTITY = 0
    GZIP = 1
    ZSTD = 2
    DEFLATE = 3


class ReplyCode(enum.IntEnum):
    """How a worker's call ended. Anything but OK comes with a JSON body saying what was wrong and where."""

    OK = 0
    BAD_BODY = 1
    INVALID = 2
    MODEL_FAILED = 3
    UNKNOWN_MODEL = 4
    EXPIRED = 5
    TOO_LARGE = 6
    UNSUPPORTED_TYPE = 7


class WireError(Exception):
    """The peer sent bytes that are not this protocol. Not recoverable on that connection; the peer is at fault."""


class Frame(NamedTuple):
    """One received frame: its type, the batch it belongs to (0 where there is none) and its payload."""

    type: FrameType
    batch: int
    payload: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Pieces:
    """A body as it was received, piece by piece; to join them would cost a copy."""

    pieces: list[bytes]
    size: int

    def __len__(self) -> int:
        return self.size


class Member(NamedTuple):
    """One request inside a batch: its body, how that is written and compressed, how the reply shall be, the query.

    `request_id` (at most 255 bytes) names the request in the worker's log.
    """

    body: bytes | memoryview | Pieces
    content: int = BodyFormat.JSON
    accept: int = BodyFormat.JSON
    encoding: int = Encoding.IDENTITY
    parameters: bytes = b""
    request_id: bytes = b""


class Result(NamedTuple):
    """One reply inside a batch, in the order of the requests: the code, the number of rows predicted, the body.

    `notes` holds the warnings, a JSON array, where the reply's format has no place for them, or a head (`README.md`).
    """

    code: int
    rows: int
    body: bytes
    notes: bytes = b""


@dataclass(frozen=True, slots=True)
class ScorePayload:
    """A batch: requests to one model, to be predicted together where the model allows it."""

    model_key: str
    time_left_ms: int
    members: list[Member]


@dataclass(frozen=True, slots=True)
class ReplyPayload:
    """A batch's results, and the seconds the worker spent in decoding, predicting and encoding it."""

    decode_s: float
    predict_s: float
    encode_s: float
    results: list[Result]


def encode_frame(type: FrameType, batch: int = 0, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return HEADER.pack(MAGIC, VERSION, type, batch, len(payload)) + payload


def encode_score(batch: int, model_key: str, time_left_ms: int, members: Sequence[Member]) -> bytes:
    """A SCORE frame for the given requests."""
    return b"".join(score_parts(batch, model_key, time_left_ms, members))


def score_parts(batch: int, model_key: str, time_left_ms: int, members: Sequence[Member]) -> list[bytes | memoryview]:
    """A SCORE frame in pieces to be written one after the other, large bodies among them without a copy."""
    key = model_key.encode()
    parts: list[bytes | memoryview] = [SCORE_HEAD.pack(len(members), time_left_ms, len(key)), key]
    pack = SCORE_MEMBER.pack
    for body, content, accept, encoding, query, request_id in members:
        parts.append(pack(len(body), content, accept, encoding, len(query), len(request_id)))
    for member in members:
        body = member[0]
        if isinstance(body, Pieces):
            parts += body.pieces
        else:
            parts.append(body)
        if member[4]:
            parts.append(member[4])
        if member[5]:
            parts.append(member[5])
    return [HEADER.pack(MAGIC, VERSION, FrameType.SCORE, batch, sum(map(len, parts))), *parts]


def decode_score(payload: bytes | memoryview) -> ScorePayload:
    """The batch in a SCORE frame's payload; large bodies are views of it. Raises WireError where lengths do not fit."""
    try:
        count, time_left_ms, key_bytes = SCORE_HEAD.unpack_from(payload)
        at = SCORE_HEAD.size
        key = bytes(payload[at : at + key_bytes]).decode()
        at += key_bytes
        heads = list(SCORE_MEMBER.iter_unpack(payload[at : at + _checked(count) * SCORE_MEMBER.size]))
    except (struct.error, UnicodeDecodeError) as e:
        raise WireError("SCORE payload cannot be read") from e
    at += count * SCORE_MEMBER.size
    members = []
    for size, content, accept, encoding, query_size, id_size in heads:
        end = at + size
        body = payload[at:end] if size > LARGE_BYTES else bytes(payload[at:end])
        at = end + query_size
        query = bytes(payload[end:at]) if query_size else b""
        request_id = bytes(payload[at : at + id_size]) if id_size else b""
        members.append(Member(body, content, accept, encoding, query, request_id))
        at += id_size
    _expect_end(payload, at, len(heads) == count)
    return ScorePayload(key, time_left_ms, members)


def encode_reply(batch: int, reply: ReplyPayload) -> bytes:
    """A REPLY frame."""
    pack = REPLY_MEMBER.pack
    parts = [REPLY_HEAD.pack(len(reply.results), reply.decode_s, reply.predict_s, reply.encode_s)]
    parts += [pack(code, rows, len(body), len(notes)) for code, rows, body, notes in reply.results]
    for result in reply.results:
        parts += result[2:]
    return encode_frame(FrameType.REPLY, batch, b"".join(parts))


def decode_reply(payload: bytes | memoryview) -> ReplyPayload:
    """The results in a REPLY frame's payload. Raises WireError where lengths do not add up."""
    try:
        count, decode_s, predict_s, encode_s = REPLY_HEAD.unpack_from(payload)
        at = REPLY_HEAD.size
        heads = list(REPLY_MEMBER.iter_unpack(payload[at : at + _checked(count) * REPLY_MEMBER.size]))
    except struct.error as e:
        raise WireError("REPLY payload cannot be read") from e
    at += count * REPLY_MEMBER.size
    results = []
    for code, rows, size, notes_size in heads:
        if code not in _REPLY_CODES:
            raise WireError(f"a reply of unknown code {code}")
        end = at + size
        results.append(Result(code, rows, bytes(payload[at:end]), bytes(payload[end : end + notes_size])))
        at = end + notes_size
    _expect_end(payload, at, len(heads) == count)
    return ReplyPayload(decode_s, predict_s, encode_s, results)


def encode_changed(model_key: str, reason: str) -> bytes:
    """A CHANGED frame; a reason that is too long is cut."""
    key = model_key.encode()
    payload = CHANGED_HEAD.pack(len(key)) + key + reason.encode()
    return encode_frame(FrameType.CHANGED, payload=payload[:MAX_CHANGED_BYTES])


def decode_changed(payload: bytes | memoryview) -> tuple[str, str]:
    """The model key and the reason in a CHANGED frame's payload. Raises WireError where lengths do not fit."""
    try:
        (size,) = CHANGED_HEAD.unpack_from(payload)
        key, text = payload[CHANGED_HEAD.size :][:size], payload[CHANGED_HEAD.size + size :]
        _expect_end(key, size, True)
        return bytes(key).decode(), bytes(text).decode(errors="ignore")
    except (struct.error, UnicodeDecodeError) as e:
        raise WireError("CHANGED payload cannot be read") from e


class FrameDecoder:
    """Cuts a byte stream into frames. One per connection and direction.

    Received bytes are either handed in (`feed`) or, where `room` has a place for them, put there and counted
    (`filled`): so the rest of a large frame is received without being copied.
    """

    def __init__(self, max_payload_bytes: int) -> None:
        self._max_payload_bytes = max_payload_bytes
        self._buffer = bytearray()
        self._large: tuple[FrameType, int, memoryview] | None = None
        self._missing = 0

    def room(self) -> memoryview | None:
        """The place for the missing bytes of a large frame; None while there is no such frame."""
        return self._large[2][-self._missing :] if self._large else None

    def filled(self, size: int) -> list[Frame]:
        """Count `size` bytes put into `room`; return the frame if it is now complete."""
        assert self._large is not None
        self._missing -= size
        if self._missing:
            return []
        frame, self._large = Frame(*self._large), None
        return [frame]

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """Take received bytes; return the frames that are now complete. Raises WireError on a bad header.

        The payload of a large frame is a view of memory of its own.
        """
        frames = []
        room = self.room()
        if room is not None:
            size = min(len(data), len(room))
            room[:size] = data[:size]
            frames += self.filled(size)
            data = data[size:]
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= HEADER.size:
            magic, version, type, batch, size = HEADER.unpack_from(buffer, at)
            self._check(magic, version, type, size)
            start = at + HEADER.size
            end = start + size
            if len(buffer) < end:
                if size > LARGE_BYTES:
                    self._begin(FrameType(type), batch, size, buffer[start:])
                    at = len(buffer)
                break
            frames.append(Frame(FrameType(type), batch, bytes(memoryview(buffer)[start:end])))
            at = end
        del buffer[:at]
        return frames

    def _begin(self, type: FrameType, batch: int, size: int, data: bytearray) -> None:
        payload = memoryview(bytearray(size))
        payload[: len(data)] = data
        self._large = type, batch, payload
        self._missing = size - len(data)

    def _check(self, magic: bytes, version: int, type: int, size: int) -> None:
        if magic != MAGIC:
            raise WireError("a frame does not start with the magic bytes")
        if version != VERSION:
            raise WireError(f"a frame of protocol version {version}, expected {VERSION}")
        if type not in _FRAME_TYPES:
            raise WireError(f"a frame of unknown type {type}")
        if size > self._max_payload_bytes:
            raise WireError(f"a frame of {size} bytes, more than the {self._max_payload_bytes} allowed")


_FRAME_TYPES = frozenset(FrameType)
_REPLY_CODES = frozenset(ReplyCode)


def _checked(count: int) -> int:
    if count > MAX_MEMBERS:
        raise WireError(f"a batch of {count} members, more than the {MAX_MEMBERS} allowed")
    return count


def _expect_end(payload: bytes | memoryview, at: int, all_heads: bool) -> None:
    if not all_heads or at != len(payload):
        raise WireError("a payload's lengths do not add up")
