from auth.backoff import Backoff
from auth.errors import Throttled


def wait_s(backoff: Backoff, key: str, now: float) -> float:
    """How long `key` has to wait; an attempt that need not wait is counted."""
    try:
        backoff.attempt(key, now)
    except Throttled as refusal:
        return refusal.retry_after_s
    return 0.0


def test_the_free_attempts_cost_nothing_and_then_each_wait_is_twice_the_last() -> None:
    backoff, now, waits = Backoff(free=3, longest_s=60.0), 0.0, []
    assert [wait_s(backoff, "ann", now) for _ in range(3)] == [0.0, 0.0, 0.0]
    for _ in range(9):
        waits.append(wait_s(backoff, "ann", now))
        now += waits[-1]
        assert wait_s(backoff, "ann", now) == 0.0
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_asking_while_waiting_does_not_lengthen_the_wait() -> None:
    backoff = Backoff(free=1)
    backoff.attempt("ann", 0.0)
    assert [wait_s(backoff, "ann", 0.5) for _ in range(3)] == [0.5, 0.5, 0.5]
    assert wait_s(backoff, "ann", 1.0) == 0.0


def test_one_key_does_not_wait_for_another() -> None:
    backoff = Backoff(free=1)
    backoff.attempt("ann", 0.0)
    backoff.attempt("bob", 0.0)


def test_success_forgives_everything_or_only_itself() -> None:
    backoff = Backoff(free=2)
    for key in ("ann", "ann", "10.0.0.1", "10.0.0.1"):
        backoff.attempt(key, 0.0)
    backoff.forget("ann")
    backoff.take_back("10.0.0.1")
    assert [wait_s(backoff, "ann", 0.0) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert [wait_s(backoff, "10.0.0.1", 0.0) for _ in range(2)] == [0.0, 1.0]


def test_taking_back_the_only_attempt_or_none_leaves_nothing() -> None:
    backoff = Backoff(free=1)
    backoff.take_back("ann")
    backoff.attempt("ann", 0.0)
    backoff.take_back("ann")
    assert wait_s(backoff, "ann", 0.0) == 0.0


def test_a_quarter_of_an_hour_without_failure_forgives() -> None:
    backoff = Backoff(free=1)
    for _ in range(5):
        wait_s(backoff, "ann", 0.0)
    assert wait_s(backoff, "ann", 900.0) == 0.0
    assert wait_s(backoff, "ann", 900.0) == 1.0


def test_memory_is_bounded_and_the_oldest_is_forgotten_first() -> None:
    backoff = Backoff(free=1, most_keys=3)
    for now, key in enumerate(["a", "b", "c", "d"]):
        backoff.attempt(key, float(now) / 100)
    assert len(backoff._failures) == 3
    assert wait_s(backoff, "b", 0.04) > 0
    assert wait_s(backoff, "a", 0.04) == 0.0
