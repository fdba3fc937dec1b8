"""Copies of requests in bytes, and what is collected of a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.collect import (
    HEAD,
    MAX_PAYLOAD_BYTES,
    Collect,
    CollectError,
    Copied,
    Described,
    Frames,
    Kind,
    frame,
    head_of,
    id_of,
    request_frame,
    request_of,
)

BYTE = st.integers(0, 255)
SECONDS = st.floats(0, 1e6, width=32)
COPIES = st.builds(
    Copied,
    described=st.binary(min_size=8, max_size=8),
    time=st.floats(0, 4e9),
    queue_s=SECONDS,
    predict_s=SECONDS,
    rows=st.integers(0, 2**32 - 1),
    content=BYTE,
    accept=BYTE,
    encoding=BYTE,
    mirrored=st.booleans(),
    request_id=st.binary(max_size=255),
    code=st.binary(max_size=40),
    parameters=st.binary(max_size=300),
    body=st.binary(max_size=2000),
    answer=st.binary(max_size=2000),
)


@given(st.lists(COPIES, max_size=5), st.integers(1, 700))
def test_copies_come_out_as_they_went_in_whatever_pieces_they_come_in(copies: list[Copied], piece: int) -> None:
    sent = b"".join(request_frame(copied) for copied in copies)
    frames = Frames()
    received = [one for at in range(0, len(sent), piece) for one in frames.feed(sent[at : at + piece])]
    assert [kind for kind, _ in received] == [Kind.REQUEST] * len(copies)
    assert [request_of(data[HEAD.size :]) for _, data in received] == copies


@given(st.binary(max_size=400))
def test_bytes_that_are_no_copies_are_refused_and_nothing_else_happens(data: bytes) -> None:
    try:
        list(Frames().feed(data))
        request_of(data)
    except CollectError:
        pass


@pytest.mark.parametrize(
    "head", [b"XX\1\1\0\0\0\0", b"TC\2\1\0\0\0\0", b"TC\1\x09\0\0\0\0", HEAD.pack(b"TC", 1, 1, MAX_PAYLOAD_BYTES + 1)]
)
def test_a_head_that_is_none_is_refused(head: bytes) -> None:
    with pytest.raises(CollectError):
        head_of(head)


def test_a_copy_that_was_cut_short_is_refused() -> None:
    payload = request_frame(Copied(b"8" * 8, 0, 0, 0, 1, 1, 1, 0, False, b"id", b"ok", b"", b"body", b"answer"))[
        HEAD.size :
    ]
    for end in range(len(payload)):
        with pytest.raises(CollectError):
            request_of(payload[:end])


def test_equal_descriptions_have_one_name_and_others_another() -> None:
    one = Described("m", "1", {"outputs": [], "inputs": []}, Collect(mask={"a": "drop"}))
    same = Described.from_data({**one.to_data()})
    assert id_of(one.payload()) == id_of(same.payload())
    assert id_of(one.payload()) != id_of(Described("m", "2", one.schema, one.collect).payload())
    assert frame(Kind.DESCRIPTION, one.payload())[HEAD.size :] == one.payload()
