"""What an Arrow stream's messages say of themselves before their data is read: a small body must stay small.

Two things let a few kilobytes become gigabytes while pyarrow reads them: compressed buffers, whose size is whatever
they claim, and delta dictionaries, of which every batch keeps a copy that is longer by one. Neither can be capped from
Python, so both are refused; a whole body may be compressed instead (see `inflate`). The metadata is a flatbuffer, of
which only the few fields that matter are looked up (https://arrow.apache.org/docs/format/Columnar.html).
"""

from __future__ import annotations

import struct

import pyarrow as pa

from server.workers.errors import BadBody

_DICTIONARY, _RECORDS = 2, 3


def check(body: bytes | memoryview) -> None:
    """Look at every message. Raises BadBody, or what pyarrow raises where there is no message to look at."""
    for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(body)):
        try:
            compressed, delta = _about(bytes(message.metadata))
        except (struct.error, IndexError) as e:
            raise BadBody("the body is not a whole Arrow IPC stream") from e
        if compressed:
            raise BadBody(
                "the stream's buffers are compressed; write it without compression, and compress the whole body "
                "(Content-Encoding: zstd) if it is large"
            )
        if delta:
            raise BadBody("the stream has delta dictionaries; write every dictionary whole")


def _about(message: bytes) -> tuple[bool, bool]:
    """Whether a message's buffers are compressed, and whether it is a delta dictionary."""
    root = _u32(message, 0)
    kind_at, header_at = _field(message, root, 1), _field(message, root, 2)
    kind = message[kind_at] if kind_at else 0
    if kind not in (_DICTIONARY, _RECORDS) or not header_at:
        return False, False
    table = header_at + _u32(message, header_at)
    delta = False
    if kind == _DICTIONARY:
        delta_at, data_at = _field(message, table, 2), _field(message, table, 1)
        delta = bool(delta_at and message[delta_at])
        if not data_at:
            return False, delta
        table = data_at + _u32(message, data_at)
    return bool(_field(message, table, 3)), delta


def _field(message: bytes, table: int, slot: int) -> int:
    """The place of a table's field; 0 where it has none."""
    vtable = table - struct.unpack_from("<i", message, table)[0]
    size = struct.unpack_from("<H", message, vtable)[0]
    entry = 4 + 2 * slot
    offset: int = struct.unpack_from("<H", message, vtable + entry)[0] if entry + 2 <= size else 0
    return table + offset if offset else 0


def _u32(message: bytes, at: int) -> int:
    value: int = struct.unpack_from("<I", message, at)[0]
    return value
