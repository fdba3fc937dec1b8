"""When a file may be read; `at` is how long after the first look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from server.catalog.files import Candidate, NotServed
from server.catalog.settling import REFUSE_S, SURELY_WRITTEN_S, Settling

LONG_AGO = 1_000_000_000.0
SETTLE_S = 0.5


def one(size: int = 1, modified: float = LONG_AGO, name: str = "mpg") -> Candidate:
    stamp = (size, int(modified * 1e9), 7, 0, 0)
    return Candidate("r", name, None, Path(f"/models/{name}.rds"), Path(f"/models/{name}.yaml"), stamp)


def settled(settling: Settling, at: float, *found: Candidate) -> list[Candidate]:
    ready, more = settling.settled(list(found), now=50.0 + at, wall_time=LONG_AGO + at)
    assert more == (len(ready) < len(found))
    return ready


def test_a_fresh_file_settles_once_it_has_stayed_as_it_is() -> None:
    settling = Settling(SETTLE_S)
    assert settled(settling, 0.0, one()) == []
    assert settled(settling, 0.49, one()) == []
    assert settled(settling, 0.5, one()) == [one()]


def test_a_file_that_grows_starts_again() -> None:
    settling = Settling(SETTLE_S)
    assert settled(settling, 0.0, one(size=1)) == []
    assert settled(settling, 0.25, one(size=2)) == []
    assert settled(settling, 0.6, one(size=2)) == []
    assert settled(settling, 0.75, one(size=2)) == [one(size=2)]


def test_a_settled_file_that_changes_is_watched_again() -> None:
    settling = Settling(SETTLE_S)
    settled(settling, 0.0, one())
    assert settled(settling, 0.5, one()) == [one()]
    assert settled(settling, 0.6, one(size=2)) == []


def test_a_file_long_past_being_written_is_read_at_once() -> None:
    old = one(modified=LONG_AGO - SURELY_WRITTEN_S - 1)
    for settle_s in (0.1, 0.4, 0.7):  # not all of which 50 - (50 - x) gives back
        assert settled(Settling(settle_s), 0.0, old) == [old]


def test_an_old_file_in_the_place_of_one_that_was_watched_is_not_read_at_once() -> None:
    """A copy that keeps times sets them last, and an older file may be moved there by hand."""
    settling, old = Settling(SETTLE_S), one(size=2, modified=LONG_AGO - 1000)
    settled(settling, 0.0, one())
    assert settled(settling, 0.5, old) == []
    assert settled(settling, 1.0, old) == [old]


def test_a_file_from_a_clock_that_is_ahead_settles_all_the_same() -> None:
    settling, ahead = Settling(SETTLE_S), one(modified=LONG_AGO + 5000)
    assert settled(settling, 0.0, ahead) == []
    assert settled(settling, 0.5, ahead) == [ahead]


def test_files_settle_each_for_itself() -> None:
    settling = Settling(SETTLE_S)
    settled(settling, 0.0, one(name="a"))
    assert settled(settling, 0.5, one(name="a"), one(name="b")) == [one(name="a")]


def test_a_file_that_went_and_came_back_is_watched_again() -> None:
    settling = Settling(SETTLE_S)
    settled(settling, 0.0, one())
    settled(settling, 0.3)
    assert settled(settling, 0.5, one()) == []


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 2)), max_size=20))
def test_a_file_is_read_when_it_has_stayed_the_same_long_enough_and_not_before(
    looks: list[tuple[int, int]],
) -> None:
    settling, at, since, last = Settling(SETTLE_S), 0.0, 0.0, None
    for passed, size in looks:
        at += passed / 64
        if size != last:
            since, last = at, size
        assert bool(settled(settling, at, one(size))) == (at - since >= SETTLE_S)


def test_what_is_no_model_settles_later_and_nobody_waits_for_it() -> None:
    settling, upload = Settling(SETTLE_S), replace(one(), refused=NotServed("no model"))
    for at, ready in ((0.0, []), (SETTLE_S, []), (REFUSE_S - 0.1, []), (REFUSE_S, [upload])):
        assert settling.settled([upload], now=50.0 + at, wall_time=LONG_AGO + at) == (ready, False)
