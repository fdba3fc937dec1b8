"""The rule about whole numbers in doubles."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.workers.whole_numbers import are_held, is_held


@given(st.integers(-(2**55), 2**55) | st.integers(2**53 - 2, 2**53 + 2))
def test_a_number_that_is_held_is_not_rounded_and_the_first_beyond_is(number: int) -> None:
    if is_held(number):
        assert int(float(number)) == number
    if are_held(float(number), float(number)):
        assert is_held(number)
    assert is_held(2**53)
    assert not is_held(2**53 + 1) and not is_held(-(2**53) - 1)
    assert not are_held(0.0, float(2**53 + 1)) and not are_held(float(-(2**53) - 1), 0.0)
