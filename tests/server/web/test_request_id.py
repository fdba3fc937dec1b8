"""Request ids: the caller's where it is fit to be repeated in headers and logs, else a unique one of ours."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.web.request_id import MAX_CHARS, RequestIds

FIT = re.compile(r"[!-~]{1,100}")


def of(given: bytes) -> str:
    return RequestIds().of({b"x-request-id": given})


@pytest.mark.parametrize("given", [b"a", b"0-9_A.z~!", b"x" * MAX_CHARS])
def test_a_fit_id_of_the_callers_is_kept(given: bytes) -> None:
    assert of(given) == given.decode()


@pytest.mark.parametrize(
    "given", [b"", b"x" * (MAX_CHARS + 1), b"a b", b"a\nb", b"a\n", b"\xc3\xa4", b"\x7f", b"a\r\nset-cookie: x"]
)
def test_an_unfit_id_is_replaced(given: bytes) -> None:
    ours = of(given)
    assert FIT.fullmatch(ours)
    assert ours.encode() != given


@given(st.binary(max_size=120))
def test_every_id_is_short_printable_and_without_blanks(given: bytes) -> None:
    assert FIT.fullmatch(of(given))


def test_ours_differ_within_a_process_and_between_processes() -> None:
    here, there = RequestIds(), RequestIds()
    made = [ids.of({}) for ids in (here, there) for _ in range(100)]
    assert len(set(made)) == 200
