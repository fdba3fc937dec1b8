"""When a worker is worn: by calls, by memory that it does not give back, and never all the time."""

from __future__ import annotations

from server.workers.upkeep import JITTER, LOOK_EVERY_S, MIN_AGE_S, Wear

CEILING = 1000


class FakeMeter:
    """Memory that a test sets; `freed` of it goes where it is given back."""

    def __init__(self) -> None:
        self.private = 0
        self.freed = 0
        self.looks = 0

    def private_bytes(self) -> int:
        self.looks += 1
        return self.private

    def give_back(self) -> None:
        self.private -= self.freed


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def wear(max_calls: int = 0, ceiling_bytes: int = CEILING) -> tuple[Wear, FakeMeter, Clock]:
    meter, clock = FakeMeter(), Clock()
    return Wear(meter, max_calls, ceiling_bytes, clock), meter, clock  # type: ignore[arg-type]  # a meter to this test


def calls_until_worn(max_calls: int) -> int:
    worn, meter, _ = wear(max_calls)
    for call in range(1, 10 * max_calls):
        worn.called()
        if worn.worn(meter.give_back):
            return call
    raise AssertionError("never worn")


def test_calls_wear_a_worker_out_and_not_all_workers_at_once() -> None:
    lives = {calls_until_worn(100) for _ in range(50)}
    assert len(lives) > 5
    assert min(lives) >= 100 * (1 - JITTER)
    assert max(lives) <= 100 * (1 + JITTER) + 1


def test_without_a_limit_no_number_of_calls_wears_a_worker_out() -> None:
    worn, meter, _ = wear(max_calls=0)
    for _ in range(1000):
        worn.called()
    assert not worn.worn(meter.give_back)


def test_memory_beyond_half_the_ceiling_that_does_not_go_down_wears_a_worker_out() -> None:
    worn, meter, clock = wear()
    clock.now, meter.private = MIN_AGE_S, CEILING // 2 + 1
    assert worn.worn(meter.give_back)


def test_memory_that_can_be_given_back_does_not() -> None:
    worn, meter, clock = wear()
    clock.now, meter.private, meter.freed = MIN_AGE_S, CEILING, CEILING // 2
    assert not worn.worn(meter.give_back)
    assert meter.private == CEILING // 2


def test_a_young_worker_is_not_worn_whatever_its_memory() -> None:
    """Or a model that needs more than half the ceiling would have its workers replaced without end."""
    worn, meter, clock = wear()
    clock.now, meter.private = MIN_AGE_S - 1, 2 * CEILING
    assert not worn.worn(meter.give_back, at_rest=True)


def test_memory_is_looked_at_now_and_then_and_always_at_rest() -> None:
    worn, meter, clock = wear()
    clock.now = MIN_AGE_S
    for _ in range(100):
        worn.worn(meter.give_back)
    assert meter.looks == 1
    clock.now += LOOK_EVERY_S
    worn.worn(meter.give_back)
    assert meter.looks == 2
    worn.worn(meter.give_back, at_rest=True)
    assert meter.looks == 3
