"""Heads of HTTP on the wire: what comes back is what was written, and nothing that is no head is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.wire.frames import WireError
from server.wire.heads import RESERVED, is_bodiless, read_reply, read_request, written_reply, written_request

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20).filter(lambda n: n not in RESERVED)
VALUES = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30)


@given(st.sampled_from(["GET", "POST"]), st.text("abc=&%20", max_size=20), st.dictionaries(NAMES, VALUES, max_size=5))
def test_a_requests_head_comes_back_as_it_was_written(method: str, query: str, headers: dict[str, str]) -> None:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    assert read_request(written_request(method.encode(), query.encode(), pairs)) == (method, query, headers)


def test_where_no_head_was_written_it_is_that_of_a_plain_post() -> None:
    assert read_request(b"") == ("POST", "", {})


@given(st.integers(200, 599), st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_a_replys_head_becomes_its_lines(status: int, headers: list[tuple[str, str]]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")
    assert read_reply(written_reply(status, headers), 0) == (status, lines)


@pytest.mark.parametrize("name", RESERVED)
def test_what_no_script_sets_is_neither_written_nor_read(name: str) -> None:
    assert written_reply(200, [(name.title(), "x"), ("X-Own", "y")]) == b"200\r\nx-own: y\r\n"
    with pytest.raises(WireError):
        read_reply(b"200\r\n%b: x\r\n" % name.encode(), 0)


@pytest.mark.parametrize(
    ("status", "name", "value"),
    [(200, "a b", ""), (200, "", ""), (200, "a", "b\r\nc: d"), (200, "a", "b\nc"), (200, "a", "€"), (199, "a", ""),
     (600, "a", "")],
)  # fmt: skip
def test_what_is_no_head_is_not_written(status: int, name: str, value: str) -> None:
    with pytest.raises(ValueError, match="HTTP"):
        written_reply(status, [(name, value)])


@given(st.binary(max_size=60))
@example(b"200")
@example(b"200\r\nX: y\r\n")
@example(b"200\r\na: b\n")
@example(b"200\r\na: b\r\n\r\n")
@example(b"100\r\n")
@example(b"200\r\n\r\n")
def test_nothing_else_is_read_as_a_head(text: bytes) -> None:
    try:
        status, lines = read_reply(text, 1)
    except WireError:
        return
    assert 200 <= status <= 599 and not is_bodiless(status)
    assert b"".join(line + b"\r\n" for line in lines.split(b"\r\n")[:-1]) == lines and b"\r\n\r\n" not in lines


def test_a_status_without_a_body_has_none() -> None:
    assert read_reply(b"204\r\n", 0) == (204, b"")
    with pytest.raises(WireError):
        read_reply(b"204\r\n", 1)
