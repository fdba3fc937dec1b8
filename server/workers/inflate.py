"""Compressed request bodies, inflated up to a cap: a small body that would fill the memory is refused."""

from __future__ import annotations

import zlib

from server.wire.frames import Encoding
from server.workers.errors import BadBody, TooLarge

_UNREADABLE = "the body is not compressed in the way that Content-Encoding says"
_ALGORITHMS = {Encoding.GZIP: "gzip", Encoding.ZSTD: "zstd"}


def inflated(body: bytes | memoryview, encoding: int, max_bytes: int) -> bytes | memoryview:
    """The body as it was before it was compressed. Raises BadBody where it cannot be read, TooLarge over the cap."""
    if encoding == Encoding.IDENTITY:
        return body
    if encoding == Encoding.DEFLATE:
        return _bounded(_deflated(body, max_bytes), max_bytes)
    import pyarrow as pa  # a script is spared it, until somebody sends it a compressed body

    try:
        algorithm = _ALGORITHMS[Encoding(encoding)]
        with pa.CompressedInputStream(pa.py_buffer(body), algorithm) as stream:
            data: bytes = stream.read(max_bytes + 1)
    except (OSError, ValueError, KeyError) as e:
        raise BadBody(_UNREADABLE) from e
    return _bounded(data, max_bytes)


def _deflated(body: bytes | memoryview, max_bytes: int) -> bytes:
    """A body in zlib's format, which is what HTTP calls deflate."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(body, max_bytes + 1)
    except zlib.error as e:
        raise BadBody(_UNREADABLE) from e
    if len(data) <= max_bytes and (not stream.eof or stream.unused_data):
        raise BadBody(_UNREADABLE)
    return data


def _bounded(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise TooLarge(
            f"the body is larger than {max_bytes / 2**20:.4g} MiB when inflated; send fewer rows per request"
        )
    return data
