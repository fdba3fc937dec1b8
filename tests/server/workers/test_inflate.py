"""Compressed bodies: what was compressed comes back, up to the cap; a bomb costs the cap and no more."""

from __future__ import annotations

import gzip
import resource
import zlib
from contextlib import suppress

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.frames import Encoding
from server.workers.errors import BadBody, TooLarge
from server.workers.inflate import inflated

MIB = 1 << 20


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACKERS = {Encoding.GZIP: gzip.compress, Encoding.ZSTD: zstd}
BOTH = pytest.mark.parametrize("encoding", [Encoding.GZIP, Encoding.ZSTD])


@BOTH
@given(st.binary(max_size=500), st.integers(1, 50))
def test_what_was_compressed_comes_back(encoding: Encoding, data: bytes, times: int) -> None:
    assert inflated(PACKERS[encoding](data * times), encoding, MIB) == data * times


def test_a_body_that_is_not_compressed_is_handed_on() -> None:
    body = b"x" * 100
    assert inflated(body, Encoding.IDENTITY, 10) is body


@BOTH
def test_a_view_of_a_body_is_read_as_the_body(encoding: Encoding) -> None:
    assert inflated(memoryview(b"<" + PACKERS[encoding](b"rows") + b">")[1:-1], encoding, MIB) == b"rows"


@BOTH
def test_parts_that_were_compressed_apart_are_joined(encoding: Encoding) -> None:
    pack = PACKERS[encoding]
    assert inflated(pack(b"one ") + pack(b"two"), encoding, MIB) == b"one two"


@BOTH
@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_the_cap_itself_is_allowed(encoding: Encoding, size: int) -> None:
    assert len(inflated(PACKERS[encoding](b"a" * size), encoding, 1000)) == size


@BOTH
@pytest.mark.parametrize("size", [1001, 2000, 10 * MIB])
def test_a_body_over_the_cap_is_too_large(encoding: Encoding, size: int) -> None:
    with pytest.raises(TooLarge, match=r"larger than 0\.0009537 MiB when inflated"):
        inflated(PACKERS[encoding](b"a" * size), encoding, 1000)


@BOTH
def test_a_bomb_costs_no_more_than_the_cap(encoding: Encoding) -> None:
    """512 MiB of nothing, in less than one; the process's peak memory tells what it cost."""
    pack = PACKERS[encoding]
    bomb = pack(bytes(64 * MIB)) * 8
    assert len(bomb) < MIB
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge):
        inflated(bomb, encoding, MIB)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 16 * 1024


@BOTH
def test_a_bomb_in_a_bomb_is_inflated_once(encoding: Encoding) -> None:
    pack = PACKERS[encoding]
    inner = pack(bytes(MIB))
    assert inflated(pack(inner), encoding, MIB) == inner


@BOTH
def test_a_truncated_body_is_a_bad_body_wherever_it_is_cut(encoding: Encoding) -> None:
    whole = PACKERS[encoding](bytes(range(256)) * 4)
    for size in range(1, len(whole)):
        with pytest.raises(BadBody, match="Content-Encoding"):
            inflated(whole[:size], encoding, MIB)


@BOTH
@pytest.mark.parametrize(
    "body", [b"x", b'{"rows":[]}', b"\x1f\x8b", b"\x28\xb5\x2f\xfd", bytes(100), zlib.compress(b"a")[:-1]]
)
def test_what_was_not_compressed_is_a_bad_body(encoding: Encoding, body: bytes) -> None:
    with pytest.raises(BadBody):
        inflated(body, encoding, MIB)


def test_the_wrong_algorithm_is_a_bad_body() -> None:
    for encoding, other in ((Encoding.GZIP, zstd), (Encoding.ZSTD, gzip.compress)):
        with pytest.raises(BadBody):
            inflated(other(b"rows" * 10), encoding, MIB)


def test_a_broken_checksum_and_trailing_bytes_are_a_bad_body() -> None:
    body = gzip.compress(b"rows" * 100)
    broken = bytearray(body)
    broken[-6] ^= 1
    for bad in (bytes(broken), body + b"more"):
        with pytest.raises(BadBody):
            inflated(bad, Encoding.GZIP, MIB)


def test_an_encoding_that_is_unknown_here_is_a_bad_body() -> None:
    with pytest.raises(BadBody):
        inflated(b"rows", 99, MIB)


@BOTH
@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 255))
def test_damage_is_refused_or_does_not_matter(encoding: Encoding, data: bytes, at: int, byte: int) -> None:
    body = bytearray(PACKERS[encoding](data))
    body[at % len(body)] = byte
    with suppress(BadBody, TooLarge):
        assert len(inflated(bytes(body), encoding, 1000)) <= 1000
