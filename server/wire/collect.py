"""What is collected of a model's requests, and how copies of requests cross from web processes to the recorder.

A frame is a head, a payload; all numbers are little-endian. A model is described once a connection, as JSON, and each
request names its description by a digest, so that nothing is said twice. The spool keeps frames as they came.
"""

from __future__ import annotations

import enum
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

from server.wire.record import Record

SOCKET = "recorder.sock"
"""The recorder's socket in the run folder."""
MAGIC = b"TC"
VERSION = 1
HEAD = struct.Struct("<2sBBI")
REQUEST = struct.Struct("<8sdffIBBBBBBHII")
ID_BYTES = 8
LARGEST_BYTES = 1 << 20
"""Largest request, body and answer together, of which a copy is sent."""
MAX_PAYLOAD_BYTES = 2 * LARGEST_BYTES
ACKNOWLEDGED = b"\x06"
"""What the recorder answers to truth, once it is in the spool."""


class CollectError(Exception):
    """Bytes that are no frame of this protocol."""


class Kind(enum.IntEnum):
    """What a frame holds."""

    DESCRIPTION = 1
    REQUEST = 2
    TRUTH = 3
    PAIR = 4
    """A request with its answer, and the copy of it that the mirror answered, without a body."""
    QUESTION = 5
    """Asks for the comparisons of an endpoint, whose name is the payload; the answer is a line of JSON."""


def _about(default: Any, description: str, **bounds: Any) -> Any:
    return field(default=default, metadata={"description": description, **bounds})


@dataclass(frozen=True, slots=True)
class Collect(Record):
    """Which requests of a model are recorded, and what of them."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    sampling: float = _about(1.0, "share of the requests, from 0 to 1", ge=0, le=1)
    inputs: bool = _about(True, "whether the rows that were sent are recorded")
    outputs: bool = _about(True, "whether the predictions are recorded")
    failures: bool = _about(True, "whether requests that failed are recorded too")
    mask: Mapping[str, Literal["drop", "hash"]] = field(
        default_factory=dict, metadata={"description": "columns that are left out, or replaced by a keyed hash"}
    )
    keep_days: int | None = _about(None, "days after which recordings are removed; never if it is not given", ge=1)


@dataclass(frozen=True, slots=True)
class Described(Record):
    """A model version as it was asked, with all that its recordings are read and written by."""

    model: str
    version: str
    schema: Mapping[str, Any]
    collect: Collect
    endpoint: str = ""
    deployment: str = ""

    def payload(self) -> bytes:
        """The description in bytes; equal ones are equal."""
        return json.dumps(self.to_data(), sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Told(Record):
    """What the recorder tells the supervisor, a line of JSON each time. Its counts begin with the data folder."""

    requests: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By model, then by what became of a copy that was received, and how many were."""
    compared: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By `endpoint/deployment` of a mirror, then by what a comparison came to, and how many did."""
    spool_bytes: int = 0
    oldest_s: float = 0.0
    """How long the oldest copy has waited for the store, in seconds."""
    store_away: bool = False
    """Whether the store could not be reached at the last try."""


class Copied(NamedTuple):
    """One request with its answer; `code` is "ok" or what went wrong. Times are in seconds."""

    described: bytes
    time: float
    queue_s: float
    predict_s: float
    rows: int
    content: int
    accept: int
    encoding: int
    mirrored: bool
    request_id: bytes
    code: bytes
    parameters: bytes
    body: bytes
    answer: bytes


def id_of(payload: bytes) -> bytes:
    """By what requests name a description."""
    return hashlib.sha256(payload).digest()[:ID_BYTES]


def frame(kind: Kind, payload: bytes) -> bytes:
    """A whole frame."""
    return HEAD.pack(MAGIC, VERSION, kind, len(payload)) + payload


def request_head(size: int, copied: Copied) -> bytes:
    """Head and numbers of a request's frame, which its texts, its body of this size and its answer follow."""
    described, time, queue_s, predict_s, rows, content, accept, encoding, mirrored, *texts = copied
    request_id, code, parameters, _, answer = texts
    payload = REQUEST.size + len(request_id) + len(code) + len(parameters) + size + len(answer)
    lengths = len(request_id), len(code), len(parameters), size, len(answer)
    numbers = REQUEST.pack(described, time, queue_s, predict_s, rows, content, accept, encoding, mirrored, *lengths)
    return HEAD.pack(MAGIC, VERSION, Kind.REQUEST, payload) + numbers


def request_frame(copied: Copied) -> bytes:
    """A request's whole frame."""
    return request_head(len(copied.body), copied) + b"".join(copied[9:])


def request_of(payload: bytes) -> Copied:
    """The request in a frame's payload. Raises CollectError."""
    copied, end = _request_at(payload, 0)
    if end != len(payload):
        raise CollectError("a request's lengths do not add up")
    return copied


def pair_frame(live: Copied, mirror: Copied) -> bytes:
    """The whole frame of a pair."""
    return frame(Kind.PAIR, request_frame(live)[HEAD.size :] + request_frame(mirror)[HEAD.size :])


def pair_of(payload: bytes) -> tuple[Copied, Copied]:
    """The pair in a frame's payload. Raises CollectError."""
    live, at = _request_at(payload, 0)
    mirror, end = _request_at(payload, at)
    if end != len(payload):
        raise CollectError("a pair's lengths do not add up")
    return live, mirror


def digests_of_pair(payload: bytes) -> tuple[bytes, bytes]:
    """The descriptions that a pair needs. Raises CollectError."""
    _, at = _request_at(payload, 0)
    return payload[:ID_BYTES], payload[at : at + ID_BYTES]


def _request_at(payload: bytes, start: int) -> tuple[Copied, int]:
    try:
        described, *numbers = REQUEST.unpack_from(payload, start)
    except struct.error as e:
        raise CollectError("a request's payload is too short") from e
    texts = []
    at = start + REQUEST.size
    for size in numbers[8:]:
        texts.append(payload[at : at + size])
        at += size
    if at > len(payload):
        raise CollectError("a request's lengths do not add up")
    return Copied._make([described, *numbers[:7], bool(numbers[7]), *texts]), at


def head_of(data: bytes | bytearray | memoryview, at: int = 0) -> tuple[Kind, int]:
    """Kind and size of the payload of the frame that begins at `at`. Raises CollectError."""
    magic, version, kind, size = HEAD.unpack_from(data, at)
    if magic != MAGIC or version != VERSION or kind not in _KINDS:
        raise CollectError("bytes that are no frame")
    if size > MAX_PAYLOAD_BYTES:
        raise CollectError(f"a frame of {size} bytes; {MAX_PAYLOAD_BYTES} are the most")
    return Kind(kind), size


_KINDS = frozenset(Kind)


class Frames:
    """Cuts what a connection sends into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes]]:
        """Take bytes; the frames that are whole now, each with its head. Raises CollectError."""
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= HEAD.size:
                kind, size = head_of(self._buffer, at)
                end = at + HEAD.size + size
                if end > len(self._buffer):
                    break
                yield kind, bytes(self._buffer[at:end])
                at = end
        finally:
            del self._buffer[:at]
