"""Compressed request bodies, inflated up to a cap: a small body that would fill the memory is refused."""

from __future__ import annotations

from server.wire.frames import Encoding
from server.workers.errors import BadBody, TooLarge

_ALGORITHMS = {Encoding.GZIP: "gzip", Encoding.ZSTD: "zstd"}


def inflated(body: bytes | memoryview, encoding: int, max_bytes: int) -> bytes | memoryview:
    """The body as it was before it was compressed. Raises BadBody where it cannot be read, TooLarge over the cap."""
    if encoding == Encoding.IDENTITY:
        return body
    import pyarrow as pa  # a script is spared it, until somebody sends it a compressed body

    try:
        algorithm = _ALGORITHMS[Encoding(encoding)]
        with pa.CompressedInputStream(pa.py_buffer(body), algorithm) as stream:
            data: bytes = stream.read(max_bytes + 1)
    except (OSError, ValueError, KeyError) as e:
        raise BadBody("the body is not compressed in the way that Content-Encoding says") from e
    if len(data) > max_bytes:
        raise TooLarge(
            f"the body is larger than {max_bytes / 2**20:.4g} MiB when inflated; send fewer rows per request"
        )
    return data
