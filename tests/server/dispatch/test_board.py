"""The board of busy workers: what one web process says of a worker is known to the others, and ends with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.dispatch.board import HELD_LONG_S, LANES, Board, NoLane
from server.dispatch.board import SUFFIX as OF_BOARD
from server.pools.worker import BOARD_SUFFIX

NAMES = {"stuck": None, "quick": None}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def join(tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Board]]:
    """Have another web process come, which is connected to the workers w1 and w2."""
    boards = []

    def joined() -> Board:
        board = Board(tmp_path, clock)
        boards.append(board)
        board.know(NAMES)
        for worker in ("w1", "w2"):
            board.add(worker, str(tmp_path / worker))
        return board

    yield joined
    for board in boards:
        board.close()


Join = Callable[[], Board]


def test_a_worker_that_is_held_for_long_is_known_to_the_others_and_not_held_against_its_holder(
    join: Join, clock: Clock
) -> None:
    one, other, third = join(), join(), join()
    one.hold("w1", "stuck")
    assert other.busy_long() == {}, "it may be free in a moment"
    clock.now += HELD_LONG_S + 0.001
    assert other.busy_long() == third.busy_long() == {"w1": "stuck"}
    assert one.busy_long() == {}
    one.release("w1")
    assert other.busy_long() == {}


def test_each_call_counts_from_its_own_start(join: Join, clock: Clock) -> None:
    one, other = join(), join()
    for _ in range(5):
        one.hold("w1", "quick")
        clock.now += HELD_LONG_S / 2
        assert other.busy_long() == {}
        one.release("w1")


def test_the_clock_may_wrap_while_a_worker_is_held(join: Join, clock: Clock) -> None:
    one, other = join(), join()
    clock.now = (2**32 - 5) / 1000
    one.hold("w1", "stuck")
    clock.now += 1.0
    assert other.busy_long() == {"w1": "stuck"}


def test_a_worker_whose_connection_has_ended_is_held_no_more(join: Join, clock: Clock) -> None:
    one, other = join(), join()
    one.hold("w1", "stuck")
    clock.now += 1.0
    one.drop("w1")
    assert other.busy_long() == {}
    one.hold("w1", "stuck")
    one.release("w1")


def test_a_model_that_this_process_does_not_know_holds_its_worker_all_the_same(join: Join, clock: Clock) -> None:
    one, other = join(), join()
    one.hold("w2", "new in the next catalog")
    clock.now += 1.0
    assert other.busy_long() == {"w2": ""}


def test_a_web_process_that_dies_holds_nothing_and_its_lane_is_clean_for_the_next(
    tmp_path: Path, join: Join, clock: Clock
) -> None:
    other = join()
    dies, lives = os.pipe()
    child = os.fork()
    if child == 0:
        board = Board(tmp_path, clock)
        board.add("w1", str(tmp_path / "w1"))
        board.hold("w1", "stuck")
        os.write(lives, b"1")
        os.read(os.pipe()[0], 1)
    os.read(dies, 1)
    clock.now += 1.0
    assert other.busy_long() == {"w1": "stuck"}
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert other.busy_long() == {}
    join()
    assert other.busy_long() == {}
    os.close(dies)
    os.close(lives)


def test_there_are_lanes_for_so_many_and_the_next_is_told(tmp_path: Path) -> None:
    boards = [Board(tmp_path) for _ in range(LANES)]
    with pytest.raises(NoLane):
        Board(tmp_path)
    boards.pop().close()
    boards.append(Board(tmp_path))
    for board in boards:
        board.close()


def test_who_clears_up_after_a_worker_knows_the_name_of_its_file() -> None:
    assert OF_BOARD == BOARD_SUFFIX
