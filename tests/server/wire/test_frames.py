"""The wire format: `server/wire/README.md` and the module say the same, and nothing else gets through the decoder."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire import frames
from server.wire.frames import (
    HEADER,
    BodyFormat,
    Encoding,
    Frame,
    FrameDecoder,
    FrameType,
    Member,
    ReplyCode,
    ReplyPayload,
    Result,
    ScorePayload,
    WireError,
    decode_reply,
    decode_score,
    encode_frame,
    encode_reply,
    encode_score,
)

README = Path(frames.__file__).with_name("README.md").read_text()
CAP = 1 << 20

bodies = st.binary(max_size=60)
byte = st.integers(0, 255)
members = st.builds(Member, bodies, byte, byte, byte, bodies, bodies)
results = st.builds(Result, st.sampled_from(ReplyCode), st.integers(0, 0xFFFFFFFF), bodies, bodies)
seconds = st.floats(allow_nan=False)
scores = st.builds(ScorePayload, st.text(max_size=30), st.integers(0, 0xFFFFFFFF), st.lists(members, max_size=8))
replies = st.builds(ReplyPayload, seconds, seconds, seconds, st.lists(results, max_size=8))
batches = st.integers(0, 0xFFFFFFFF)


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found is not None, f"the README has no section {title}"
    return found[1]


def tables(title: str) -> list[list[list[str]]]:
    """A section's tables: each the cells of its rows, without its head."""
    found: list[list[list[str]]] = []
    lines = section(title).splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|") and not above.startswith("|"):
            found.append([])
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    return [table[2:] for table in found]


def in_parentheses(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\((\d+)\)", text)]


def numbered(rows: list[list[str]]) -> dict[str, int]:
    return {row[1]: int(row[0]) for row in rows}


def members_of(enum: type[IntEnum]) -> dict[str, int]:
    return {member.name: member.value for member in enum}


def whole(data: bytes) -> list[Frame]:
    return FrameDecoder(CAP).feed(data)


# The written specification


def test_the_specification_names_the_version() -> None:
    assert README.startswith(f"# The wire format, version {frames.VERSION}\n")


def test_the_header_has_the_written_fields_at_the_written_offsets() -> None:
    rows = tables("Frame")[0]
    assert [row[2] for row in rows] == ["magic", "version", "type", "batch", "length"]
    sizes = [int(row[1]) for row in rows]
    assert [int(row[0]) for row in rows] == [sum(sizes[:i]) for i in range(len(sizes))]
    values = {"magic": b"TD", "version": b"\1", "type": b"\3", "batch": b"\4\3\2\1", "length": b"\2\0\0\0"}
    assert rows[0][3] == f"`{frames.MAGIC.decode()}`"
    assert rows[1][3] == f"`{frames.VERSION}`"
    frame = encode_frame(FrameType.PING, 0x01020304, b"xx")
    assert HEADER.size == sum(sizes)
    for (offset, size, name, _), expected in zip(rows, values.values(), strict=True):
        assert frame[int(offset) : int(offset) + int(size)] == expected, name


def test_the_frame_types_are_those_written() -> None:
    assert numbered(tables("Frame")[1]) == members_of(FrameType)


def test_a_changed_frame_has_the_written_fields_and_is_never_longer_than_written() -> None:
    assert [row[0] for row in tables("CHANGED payload")[0]] == ["2", "k", "rest"]
    assert "At most 4,096 bytes" in section("CHANGED payload")
    [frame] = whole(frames.encode_changed("a/1", "the locale"))
    assert frame.payload == b"\3\0a/1the locale"
    assert frames.decode_changed(frame.payload) == ("a/1", "the locale")
    [long] = whole(frames.encode_changed("a/1", "é" * 5000))
    assert len(long.payload) == 4096
    assert frames.decode_changed(long.payload)[1] == "é" * 2045
    for wrong in (b"", b"\3", b"\4\0a/1", b"\1\0\xff"):
        with pytest.raises(WireError):
            frames.decode_changed(wrong)


def test_the_reply_codes_are_those_written() -> None:
    assert numbered(tables("REPLY payload")[1]) == members_of(ReplyCode)


@pytest.mark.parametrize(("title", "enum"), [("Body formats", BodyFormat), ("Encodings", Encoding)])
def test_the_body_formats_and_encodings_are_those_written(title: str, enum: type[IntEnum]) -> None:
    written = re.search(rf"^{title}: ([^.]*)\.", section("SCORE payload"), re.MULTILINE)
    assert written is not None
    pairs = [entry.split() for entry in written[1].split(",")]
    assert {name: int(number) for number, name in pairs} == members_of(enum)


def test_the_number_of_members_is_capped_as_written() -> None:
    assert f"at most {frames.MAX_MEMBERS:,}" in section("SCORE payload")


def test_a_score_payload_is_laid_out_as_written() -> None:
    rows = tables("SCORE payload")[0]
    assert [row[0] for row in rows] == ["4", "4", "2", "k", "n \u00d7 10", "rest"]
    assert [row[1].partition(",")[0] for row in rows[:4]] == [
        "n",
        "time left until the earliest deadline",
        "k",
        "model key",
    ]
    six = re.search(r"^The six numbers of a request: (.*?)\. ", section("SCORE payload"), re.DOTALL | re.MULTILINE)
    assert six is not None
    numbers = " ".join(six[1].split())
    assert re.findall(r"([a-z ]+) \(", numbers.replace(", ", ",")) == [
        "body length",
        "format of the body",
        "format wanted for the reply",
        "encoding of the body",
        "parameters length",
        "request id length",
    ]
    member_sizes = in_parentheses(numbers)
    assert sum(member_sizes) == frames.SCORE_MEMBER.size == 10
    assert frames.SCORE_HEAD.size == 4 + 4 + 2
    payload = encode_score(7, "kéy", 0x0A0B, [Member(b"abc", 1, 2, 3, b"q", b"id"), Member(b"de", 3, 4)])[HEADER.size :]
    assert payload == b"".join(
        [
            (2).to_bytes(4, "little"),
            (0x0A0B).to_bytes(4, "little"),
            (4).to_bytes(2, "little"),
            "kéy".encode(),
            *(n.to_bytes(size, "little") for n, size in zip((3, 1, 2, 3, 1, 2), member_sizes, strict=True)),
            *(n.to_bytes(size, "little") for n, size in zip((2, 3, 4, 0, 0, 0), member_sizes, strict=True)),
            b"abcqidde",
        ]
    )


def test_a_reply_payload_is_laid_out_as_written() -> None:
    rows = tables("REPLY payload")[0]
    assert [row[0] for row in rows] == ["4", "3 \u00d7 8", "n \u00d7 14", "rest"]
    assert rows[0][1].startswith("n,")
    assert rows[1][1].startswith("seconds spent decoding, predicting, encoding")
    assert re.findall(r"[:,] ([a-z ]+) \(", rows[2][1]) == ["code", "rows predicted", "body length", "notes length"]
    result_sizes = in_parentheses(rows[2][1])
    assert sum(result_sizes) == frames.REPLY_MEMBER.size == 14
    assert frames.REPLY_HEAD.size == 4 + 3 * 8
    payload = encode_reply(7, ReplyPayload(0.5, 1.5, -0.0, [Result(2, 3, b"ab", b"n"), Result(0, 9, b"c")]))[
        HEADER.size :
    ]
    assert payload == b"".join(
        [
            (2).to_bytes(4, "little"),
            *(struct.pack("<d", s) for s in (0.5, 1.5, -0.0)),
            *(n.to_bytes(size, "little") for n, size in zip((2, 3, 2, 1), result_sizes, strict=True)),
            *(n.to_bytes(size, "little") for n, size in zip((0, 9, 1, 0), result_sizes, strict=True)),
            b"abnc",
        ]
    )


# Round trips


@given(batches, scores)
def test_a_score_comes_back_as_it_went(batch: int, score: ScorePayload) -> None:
    [frame] = whole(encode_score(batch, score.model_key, score.time_left_ms, score.members))
    assert (frame.type, frame.batch) == (FrameType.SCORE, batch)
    assert decode_score(frame.payload) == score


@given(batches, replies)
def test_a_reply_comes_back_as_it_went(batch: int, reply: ReplyPayload) -> None:
    [frame] = whole(encode_reply(batch, reply))
    assert (frame.type, frame.batch) == (FrameType.REPLY, batch)
    assert decode_reply(frame.payload) == reply


@given(st.lists(st.tuples(st.sampled_from(FrameType), batches, bodies), max_size=6), st.lists(st.integers(1, 40)))
def test_a_stream_cut_anywhere_gives_the_same_frames(sent: list[tuple[FrameType, int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(encode_frame(*frame) for frame in sent)
    decoder = FrameDecoder(CAP)
    received = []
    for size in cuts:
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    received += decoder.feed(stream)
    assert received == [Frame(*frame) for frame in sent]


@given(
    st.lists(st.integers(0, 3 * frames.LARGE_BYTES), min_size=1, max_size=4),
    st.lists(st.integers(1, 2 * frames.LARGE_BYTES), max_size=20),
)
def test_a_stream_received_in_place_gives_the_same_frames(sizes: list[int], cuts: list[int]) -> None:
    sent = [encode_frame(FrameType.PONG, batch, os.urandom(size)) for batch, size in enumerate(sizes)]
    stream = b"".join(sent)
    decoder = FrameDecoder(4 * frames.LARGE_BYTES)
    received = []
    for size in [*cuts, *[frames.LARGE_BYTES] * len(stream)]:
        room = decoder.room()
        piece = stream[:size] if room is None else stream[: min(size, len(room))]
        stream = stream[len(piece) :]
        if not piece:
            break
        if room is None:
            received += decoder.feed(piece)
        else:
            room[: len(piece)] = piece
            received += decoder.filled(len(piece))
    assert [encode_frame(f.type, f.batch, bytes(f.payload)) for f in received] == sent


def test_an_incomplete_frame_waits_for_its_rest() -> None:
    decoder = FrameDecoder(CAP)
    frame = encode_frame(FrameType.PING, 1, b"abc")
    assert [decoder.feed(frame[i : i + 1]) for i in range(len(frame) - 1)] == [[]] * (len(frame) - 1)
    assert decoder.feed(frame[-1:]) == [Frame(FrameType.PING, 1, b"abc")]


# What is refused


def header(magic: bytes = frames.MAGIC, version: int = frames.VERSION, type: int = 3, size: int = 0) -> bytes:
    return HEADER.pack(magic, version, type, 0, size)


@pytest.mark.parametrize(
    "bad",
    [header(magic=b"HT"), header(version=0), header(version=2), header(type=0), header(type=9), header(size=CAP + 1)],
)
def test_a_bad_header_is_refused_before_its_payload_arrives(bad: bytes) -> None:
    with pytest.raises(WireError):
        FrameDecoder(CAP).feed(bad)


def test_a_payload_of_exactly_the_cap_passes() -> None:
    assert FrameDecoder(3).feed(encode_frame(FrameType.PING, 0, b"abc")) == [Frame(FrameType.PING, 0, b"abc")]


def score_payload(*members: Member) -> bytes:
    return encode_score(1, "key", 10, members)[HEADER.size :]


def reply_payload(*results: Result) -> bytes:
    return encode_reply(1, ReplyPayload(0, 0, 0, list(results)))[HEADER.size :]


@given(st.lists(members, max_size=4), st.binary(min_size=1, max_size=20), st.data())
def test_a_score_whose_lengths_do_not_add_up_is_refused(sent: list[Member], more: bytes, data: st.DataObject) -> None:
    payload = score_payload(*sent)
    for bad in (payload + more, payload[: data.draw(st.integers(0, len(payload) - 1))]):
        with pytest.raises(WireError):
            decode_score(bad)


@given(st.lists(results, max_size=4), st.binary(min_size=1, max_size=20), st.data())
def test_a_reply_whose_lengths_do_not_add_up_is_refused(sent: list[Result], more: bytes, data: st.DataObject) -> None:
    payload = reply_payload(*sent)
    for bad in (payload + more, payload[: data.draw(st.integers(0, len(payload) - 1))]):
        with pytest.raises(WireError):
            decode_reply(bad)


def test_more_members_than_the_cap_are_refused_without_being_looked_for() -> None:
    too_many = (frames.MAX_MEMBERS + 1).to_bytes(4, "little")
    with pytest.raises(WireError, match="65537 members"):
        decode_score(too_many + score_payload()[4:])
    with pytest.raises(WireError, match="65537 members"):
        decode_reply(too_many + reply_payload()[4:])


def test_a_model_key_that_is_not_utf_8_is_refused() -> None:
    payload = frames.SCORE_HEAD.pack(0, 0, 2) + b"\xff\xfe"
    with pytest.raises(WireError):
        decode_score(payload)


def accepted_or_refused(decode: Callable[[bytes], object], data: bytes) -> None:
    """Any exception but WireError fails the test."""
    with suppress(WireError):
        decode(data)


@given(st.binary(max_size=300))
def test_random_bytes_are_frames_or_a_wire_error(data: bytes) -> None:
    accepted_or_refused(FrameDecoder(CAP).feed, data)
    accepted_or_refused(decode_score, data)
    accepted_or_refused(decode_reply, data)


@given(st.one_of(scores, replies), st.data())
def test_a_payload_with_changed_bytes_is_read_or_a_wire_error(
    sent: ScorePayload | ReplyPayload, data: st.DataObject
) -> None:
    is_score = isinstance(sent, ScorePayload)
    frame = encode_score(1, sent.model_key, 1, sent.members) if is_score else encode_reply(1, sent)
    payload = bytearray(frame[HEADER.size :])
    for at in data.draw(st.lists(st.integers(0, len(payload) - 1), max_size=4)):
        payload[at] = data.draw(st.integers(0, 255))
    accepted_or_refused(decode_score if is_score else decode_reply, bytes(payload))


def test_a_reply_of_a_code_that_is_not_written_is_refused() -> None:
    payload = encode_reply(1, ReplyPayload(0.0, 0.0, 0.0, [Result(99, 0, b"{}")]))[HEADER.size :]
    with pytest.raises(WireError, match="unknown code 99"):
        decode_reply(payload)
