"""The dispatch machine: each promise as a small story, then all of them at once under random events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from server.dispatch.messages import (
    Close,
    Generation,
    Instruction,
    Kill,
    Lane,
    Limits,
    ModelPolicy,
    Refusal,
    Refuse,
    Request,
    Send,
)
from server.dispatch.queues import ADMITTED_SHARE
from server.dispatch.state import DispatchState

MANY = 1000


def request(key: str = "a/1", body_bytes: int = 10, deadline: float = 100.0, pinned: bool = False) -> Request:
    return Request("r", key.partition("/")[0], key, None, body_bytes, deadline, 0.0, pinned=pinned)


def requests(count: int, key: str = "a/1") -> list[Request]:
    return [request(key) for _ in range(count)]


def generation(number: int, *keys: str, alone: Iterable[str] = ()) -> Generation:
    """A generation of models by their keys, `name/version`; those `alone` may not be batched."""
    policies = {key: ModelPolicy(key.partition("/")[0], 1 if key in alone else MANY) for key in keys}
    return Generation("r", number, policies)


def machine(
    *workers: str, keys: Iterable[str] = ("a/1", "b/1"), alone: Iterable[str] = (), limits: Limits | None = None
) -> DispatchState:
    """A machine with one generation and these workers."""
    state = DispatchState(limits or Limits())
    for worker in workers:
        state.on_worker(worker, 1)
    assert state.on_generation(generation(1, *keys, alone=alone)) == []
    return state


def submit(state: DispatchState, waiting: Iterable[Request]) -> None:
    for one in waiting:
        assert state.on_submit(one, 0.0) is None


def sends(instructions: Iterable[Instruction]) -> list[Send]:
    found = list(instructions)
    sent = [i for i in found if isinstance(i, Send)]
    assert len(sent) == len(found), found
    return sent


def held(instructions: Iterable[Instruction]) -> list[tuple[str, list[Request]]]:
    return [(send.worker, send.requests) for send in sends(instructions)]


def answer(state: DispatchState, send: Send, predict_s: float = 0.0, now: float = 0.0) -> list[Request] | None:
    return state.on_reply(send.worker, send.batch, len(send.requests), predict_s, now)


# Batches


def test_an_idle_worker_takes_everything_that_waits_for_one_model() -> None:
    state, waiting = machine("w"), requests(5)
    submit(state, waiting)
    assert state.assign(1.0) == [Send("w", 1, "a/1", waiting)]


def test_a_single_request_does_not_wait_for_company() -> None:
    state, waiting = machine("w"), requests(1)
    submit(state, waiting)
    assert held(state.assign(0.0)) == [("w", waiting)]


def test_requests_pile_up_while_the_worker_is_busy() -> None:
    state, later = machine("w"), requests(3)
    submit(state, requests(1))
    [first] = sends(state.assign(0.0))
    submit(state, later)
    assert state.assign(0.0) == []
    answer(state, first)
    assert held(state.assign(0.0)) == [("w", later)]


def test_inflight_counts_who_waits_and_whom_workers_hold_and_the_first_in_a_queue_has_waited_longest() -> None:
    state = machine("r-1")
    assert (state.inflight_requests, state.longest_wait_s(1.0)) == (0, 0.0)
    submit(state, requests(2))
    [first] = sends(state.assign(0.0))
    assert (state.inflight_requests, state.longest_wait_s(1.0)) == (2, 0.0)
    later, latest = request("b/1"), request("a/1")
    later.arrived, latest.arrived = 0.5, 0.75
    submit(state, [later, latest])
    assert (state.inflight_requests, state.longest_wait_s(1.0)) == (4, 0.5)
    answer(state, first)
    assert (state.inflight_requests, state.longest_wait_s(1.0)) == (2, 0.5)


def test_a_batch_holds_at_most_so_many_requests() -> None:
    state, waiting = machine("w", "v", limits=Limits(batch_max_requests=3)), requests(5)
    submit(state, waiting)
    assert held(state.assign(0.0)) == [("w", waiting[:3]), ("v", waiting[3:])]


def test_a_batch_holds_at_most_so_many_bytes() -> None:
    state, waiting = machine("w", "v", limits=Limits(batch_max_bytes=30)), requests(5)
    submit(state, waiting)
    assert held(state.assign(0.0)) == [("w", waiting[:3]), ("v", waiting[3:])]


def test_a_request_above_the_byte_limit_goes_alone() -> None:
    state = machine("w", limits=Limits(batch_max_bytes=30))
    big, small = request(body_bytes=31), request()
    submit(state, [big, small])
    assert held(state.assign(0.0)) == [("w", [big])]


def test_a_model_that_may_not_be_batched_is_called_one_by_one() -> None:
    state, waiting = machine("w", "v", alone=["a/1"]), requests(3)
    submit(state, waiting)
    assert held(state.assign(0.0)) == [("w", waiting[:1]), ("v", waiting[1:2])]


def test_a_batch_is_for_one_model() -> None:
    state = machine("w", "v")
    a, b = requests(2, "a/1"), requests(2, "b/1")
    submit(state, [a[0], b[0], a[1], b[1]])
    assert held(state.assign(0.0)) == [("w", a), ("v", b)]


def test_models_take_turns() -> None:
    """A model whose queue never empties does not keep another one waiting."""
    state = machine("w", limits=Limits(batch_max_requests=2))
    a, b = requests(4, "a/1"), requests(1, "b/1")
    submit(state, [*a, *b])
    order = []
    for _ in range(3):
        [send] = sends(state.assign(0.0))
        order.append(send.requests)
        answer(state, send)
    assert order == [a[:2], b, a[2:]]


def test_a_model_that_no_idle_worker_holds_does_not_block_the_others() -> None:
    state = machine("old", keys=["a/1", "b/1"])
    state.on_worker("new", 2)
    submit(state, [request("b/1")])
    [busy] = sends(state.assign(0.0))
    state.on_generation(generation(2, "a/1"))
    only_old, new = request("b/1"), request("a/1")
    submit(state, [only_old, new])
    assert held(state.assign(0.0)) == [("new", [new])]
    answer(state, busy)
    assert held(state.assign(0.0)) == [("old", [only_old])]


def test_a_queue_of_slow_calls_is_spread_over_idle_workers() -> None:
    state = machine("w", "v")
    submit(state, requests(1))
    answer(state, sends(state.assign(0.0))[0], predict_s=1.0)
    waiting = requests(5)
    submit(state, waiting)
    assert sorted(len(batch) for _, batch in held(state.assign(0.0))) == [2, 3]


def test_a_queue_of_quick_calls_stays_together() -> None:
    state = machine("w", "v")
    submit(state, requests(1))
    answer(state, sends(state.assign(0.0))[0], predict_s=1e-5)
    submit(state, requests(5))
    assert [len(batch) for _, batch in held(state.assign(0.0))] == [5]


def test_the_time_of_sending_is_noted() -> None:
    state, waiting = machine("w"), requests(1)
    submit(state, waiting)
    state.assign(3.5)
    assert waiting[0].sent == 3.5


# Bounds of the queue


def test_a_full_queue_refuses_by_requests() -> None:
    state = machine(limits=Limits(queue_max_requests=2))
    submit(state, requests(2))
    assert state.on_submit(request(), 0.0) is Refusal.QUEUE_FULL
    assert state.queued_requests == 2


def test_a_full_queue_refuses_by_bytes() -> None:
    state = machine(limits=Limits(queue_max_bytes=25))
    submit(state, requests(2))
    assert state.on_submit(request(body_bytes=6), 0.0) is Refusal.QUEUE_FULL
    assert state.on_submit(request(body_bytes=5), 0.0) is None


def test_an_empty_queue_takes_a_request_above_its_bytes() -> None:
    state = machine(limits=Limits(queue_max_bytes=25))
    assert state.on_submit(request(body_bytes=26), 0.0) is None


def test_what_a_worker_holds_does_not_count_as_queued() -> None:
    state = machine("w", limits=Limits(queue_max_requests=2))
    submit(state, requests(2))
    state.assign(0.0)
    assert (state.queued_requests, state.queued_bytes, state.idle) == (0, 0, False)
    submit(state, requests(2))


# Replies


def test_a_reply_gives_the_batch_in_order_and_frees_the_worker() -> None:
    state, waiting = machine("w"), requests(3)
    submit(state, waiting)
    [send] = sends(state.assign(0.0))
    assert answer(state, send) == waiting
    assert state.idle


def test_a_reply_to_a_batch_that_was_not_sent_is_none_and_changes_nothing() -> None:
    state, waiting = machine("w", "v"), requests(1)
    submit(state, waiting)
    [send] = sends(state.assign(0.0))
    assert state.on_reply("w", send.batch + 1, 1, 0.0, 0.0) is None
    assert state.on_reply("v", send.batch, 1, 0.0, 0.0) is None
    assert state.on_reply("nobody", send.batch, 1, 0.0, 0.0) is None
    assert answer(state, send) == waiting
    assert answer(state, send) is None


def test_a_reply_of_another_length_than_its_batch_loses_no_request() -> None:
    """The batch stays the worker's, so that it is retried when the worker has been killed for the lie."""
    state, waiting = machine("liar", "v"), requests(2)
    submit(state, waiting)
    [send] = sends(state.assign(0.0))
    assert state.on_reply("liar", send.batch, 1, 0.0, 0.0) is None
    assert state.on_worker_lost("liar") == []
    assert state.queued_requests == 2


# Lost workers


def test_what_a_lost_worker_held_goes_once_more_each_alone_and_first() -> None:
    state, waiting = machine("bad", "w"), requests(2)
    submit(state, waiting)
    state.assign(0.0)
    later = requests(1)
    submit(state, later)
    assert state.on_worker_lost("bad") == []
    order = []
    while not state.idle:
        [send] = sends(state.assign(0.0))
        order.append(send.requests)
        answer(state, send)
    assert order == [waiting[:1], waiting[1:], later]


def test_the_second_loss_is_answered_and_its_neighbour_never_notices() -> None:
    state = machine("bad", "worse", "w")
    poison, neighbour = requests(2)
    submit(state, [poison, neighbour])
    state.assign(0.0)
    state.on_worker_lost("bad")
    alone = sends(state.assign(0.0))
    assert held(alone) == [("worse", [poison]), ("w", [neighbour])]
    assert state.on_worker_lost("worse") == [Refuse(poison, Refusal.WORKER_CRASHED)]
    assert answer(state, alone[1]) == [neighbour]
    assert state.idle


def test_what_a_worker_gives_back_goes_to_another_together_and_in_order_and_is_not_held_against_it() -> None:
    state, waiting = machine("w", "v"), requests(2)
    submit(state, waiting)
    [first] = sends(state.assign(0.0))
    later = requests(1)
    submit(state, later)
    assert state.on_returned("w", first.batch) == [Close("w")]
    assert held(state.assign(0.0)) == [("v", [*waiting, *later])]
    assert [one.attempts for one in waiting] == [1, 1]
    assert state.workers == 1


def test_what_the_only_worker_gives_back_waits_for_the_next() -> None:
    state, waiting = machine("w"), requests(1)
    submit(state, waiting)
    [first] = sends(state.assign(0.0))
    assert state.on_returned("w", first.batch) == [Close("w")]
    assert state.assign(0.0) == []
    state.on_worker("v", 1)
    assert held(state.assign(1.0)) == [("v", waiting)]


def test_a_request_that_was_answered_meanwhile_is_not_sent_again_when_it_is_given_back() -> None:
    state = machine("w", "v")
    late, alive = request(deadline=1.0), request()
    submit(state, [late, alive])
    [first] = sends(state.assign(0.5))
    assert state.on_time(1.0) == [Refuse(late, Refusal.DEADLINE)]
    assert state.on_returned("w", first.batch) == [Close("w")]
    assert held(state.assign(1.0)) == [("v", [alive])]


def test_a_batch_that_a_worker_was_not_given_cannot_be_given_back() -> None:
    state = machine("w")
    assert state.on_returned("w", 1) is None
    assert state.on_returned("nobody", 1) is None


def test_a_request_that_was_answered_is_not_retried() -> None:
    state = machine("w", "v")
    late, alive = request(deadline=1.0), request()
    submit(state, [late, alive])
    state.assign(0.5)
    assert state.on_time(1.0) == [Refuse(late, Refusal.DEADLINE)]
    assert state.on_worker_lost("w") == []
    assert held(state.assign(1.0)) == [("v", [alive])]


def test_the_loss_of_a_worker_that_is_not_known_is_nothing() -> None:
    assert machine("w").on_worker_lost("nobody") == []


def test_only_workers_of_the_newest_generation_are_counted() -> None:
    state = machine("w")
    state.on_worker("next", 2)
    assert state.workers == 1
    state.on_worker_lost("w")
    assert state.workers == 0


# Deadlines


def test_a_deadline_in_the_queue_is_answered_and_leaves_no_trace() -> None:
    state = machine("w")
    submit(state, [request()])
    state.assign(0.0)
    late, alive = request(deadline=1.0), request()
    submit(state, [late, alive])
    assert state.on_time(0.9) == []
    assert state.on_time(1.0) == [Refuse(late, Refusal.DEADLINE)]
    assert state.on_time(2.0) == []
    assert (state.queued_requests, state.queued_bytes) == (1, alive.body_bytes)


def test_a_deadline_without_any_worker_says_that_there_was_none() -> None:
    state, late = machine(), request(deadline=1.0)
    submit(state, [late])
    assert state.on_time(1.0) == [Refuse(late, Refusal.NO_WORKER)]
    assert state.idle


def test_a_deadline_in_flight_answers_once_and_kills_once_the_call_has_lasted() -> None:
    state, late = machine("w", limits=Limits(kill_after_s=1.0)), request(deadline=2.0)
    submit(state, [late])
    state.assign(1.5)
    assert state.on_time(2.0) == [Refuse(late, Refusal.DEADLINE)]
    assert state.on_time(2.4) == []
    assert state.on_time(2.5) == [Kill("w", "deadline")]
    assert state.on_time(9.0) == []


def test_a_killed_worker_gets_nothing_more() -> None:
    state, late = machine("w"), request(deadline=2.0)
    submit(state, [late])
    [send] = sends(state.assign(0.0))
    assert state.on_time(2.0) == [Refuse(late, Refusal.DEADLINE), Kill("w", "deadline")]
    assert answer(state, send) == [late]
    submit(state, [request()])
    assert state.assign(2.0) == []
    assert state.workers == 0


def test_a_late_reply_still_frees_a_worker_that_was_not_killed() -> None:
    state, late = machine("w"), request(deadline=2.0)
    submit(state, [late])
    [send] = sends(state.assign(1.9))
    state.on_time(2.0)
    assert answer(state, send) == [late]
    assert late.answered
    assert state.idle


def test_a_request_whose_deadline_passed_while_it_waited_is_never_sent() -> None:
    state, late, alive = machine("w"), request(deadline=1.0), request()
    submit(state, [late, alive])
    assert state.assign(1.0)[:1] == [Refuse(late, Refusal.DEADLINE)]
    assert late.attempts == 0
    assert alive.attempts == 1


def test_a_request_waits_no_longer_than_the_queue_allows() -> None:
    state, patient = machine("w", limits=Limits(queue_wait_s=2.0)), request(deadline=100.0)
    submit(state, [request(deadline=50.0)])
    state.assign(0.0)
    submit(state, [patient])
    assert state.on_time(1.9) == []
    assert state.on_time(2.0) == [Refuse(patient, Refusal.OVERLOADED)]


def learned(state: DispatchState, key: str, seconds: float) -> None:
    """The machine has seen one call of this model take so long."""
    submit(state, [request(key)])
    [send] = sends(state.assign(0.0))
    answer(state, send, now=seconds)


def test_who_would_wait_too_long_is_refused_at_once() -> None:
    state = machine("w", limits=Limits(queue_wait_s=3.0 / ADMITTED_SHARE))
    learned(state, "a/1", 1.0)
    submit(state, requests(4))
    assert state.wait_s("a/1") == 4.0
    assert state.on_submit(request(), 0.0) is Refusal.OVERLOADED


def test_who_would_wait_past_its_deadline_is_refused_at_once() -> None:
    state = machine("w")
    learned(state, "a/1", 1.0)
    submit(state, requests(3))
    assert state.on_submit(request(deadline=2.0), 0.0) is Refusal.OVERLOADED
    assert state.on_submit(request(deadline=5.0), 0.0) is None


def test_another_models_long_queue_refuses_nobody() -> None:
    state = machine("w", limits=Limits(queue_wait_s=3.0, queue_max_requests=2))
    learned(state, "a/1", 10.0)
    submit(state, requests(1, "a/1"))
    assert state.on_submit(request("a/1"), 0.0) is Refusal.OVERLOADED
    assert state.on_submit(request("b/1"), 0.0) is None


# Callers who leave


def test_a_caller_who_leaves_takes_the_queued_request_along() -> None:
    state, gone = machine(), request()
    submit(state, [gone])
    state.on_abandoned(gone)
    assert state.idle
    assert state.on_time(1000.0) == []


def test_a_worker_busy_for_callers_who_have_all_gone_is_killed_after_a_while() -> None:
    state, waiting = machine("w", limits=Limits(abandon_after_s=1.0)), requests(2)
    submit(state, waiting)
    state.assign(0.0)
    state.on_abandoned(waiting[0])
    assert state.on_time(5.0) == []
    state.on_abandoned(waiting[1])
    assert state.on_time(5.0) == [Kill("w", "abandoned")]
    assert state.on_worker_lost("w") == []
    assert state.idle


def test_a_quick_call_for_a_caller_who_has_gone_may_end() -> None:
    state, gone = machine("w", limits=Limits(abandon_after_s=1.0)), request()
    submit(state, [gone])
    [send] = sends(state.assign(0.0))
    state.on_abandoned(gone)
    assert state.on_time(0.9) == []
    assert answer(state, send) == [gone]
    assert state.on_time(5.0) == []


# Turns and shares


def test_turns_are_fair_by_time() -> None:
    """One call of the slow model for a hundred of the quick one."""
    state = machine("w", limits=Limits(batch_max_requests=1))
    learned(state, "a/1", 1.0)
    learned(state, "b/1", 0.01)
    submit(state, [*requests(5, "a/1"), *requests(300, "b/1")])
    order, now = "", 0.0
    for _ in range(250):
        [send] = sends(state.assign(now))
        order += send.model_key[0]
        now += 1.0 if send.model_key == "a/1" else 0.01
        answer(state, send, now=now)
    assert 2 <= order.count("a") <= 3


def test_a_model_that_was_idle_starts_level_with_the_others() -> None:
    """It has no credit from the time in which nobody asked for it."""
    state = machine("w", limits=Limits(batch_max_requests=1, queue_wait_s=100.0))
    learned(state, "a/1", 1.0)
    learned(state, "b/1", 1.0)
    submit(state, requests(50, "a/1"))
    for turn in range(40):
        [send] = sends(state.assign(float(turn)))
        answer(state, send, now=turn + 1.0)
    submit(state, requests(10, "b/1"))
    order = ""
    for turn in range(40, 50):
        [send] = sends(state.assign(float(turn)))
        order += send.model_key[0]
        answer(state, send, now=turn + 1.0)
    assert order.count("a") >= 4


def test_one_model_never_holds_more_workers_than_its_share() -> None:
    state = machine("u", "v", "w", alone=["a/1"])
    state.on_generation(Generation("r", 1, generation(1, "a/1", "b/1", alone=["a/1"]).models, None, 2))
    submit(state, requests(5, "a/1"))
    assert [worker for worker, _ in held(state.assign(0.0))] == ["u", "v"]
    other = request("b/1")
    submit(state, [other])
    assert held(state.assign(0.0)) == [("w", [other])]


# Workers that are replaced


def test_a_worker_that_is_replaced_answers_what_it_holds_and_leaves() -> None:
    state = machine("old")
    first, second = request(), request()
    submit(state, [first])
    [busy] = sends(state.assign(0.0))
    state.on_worker("new", 1)
    models = generation(1, "a/1", "b/1").models
    assert state.on_generation(Generation("r", 1, models, frozenset({"new"}))) == []
    assert state.workers == 1
    submit(state, [second])
    assert held(state.assign(0.0)) == [("new", [second])]
    assert answer(state, busy) == [first]
    assert state.assign(0.0) == [Close("old")]


def test_what_a_replaced_worker_held_goes_to_another_if_it_dies() -> None:
    state, waiting = machine("old"), request()
    submit(state, [waiting])
    state.assign(0.0)
    state.on_worker("new", 1)
    state.on_generation(Generation("r", 1, generation(1, "a/1").models, frozenset({"new"})))
    state.on_worker_lost("old")
    assert held(state.assign(0.0)) == [("new", [waiting])]


# Generations


def two_generations() -> tuple[DispatchState, Send]:
    """Worker "old" is busy with a/1 when "new" takes over with a/2."""
    state = machine("old", keys=["a/1"])
    submit(state, [request("a/1")])
    [busy] = sends(state.assign(0.0))
    state.on_worker("new", 2)
    assert state.on_generation(generation(2, "a/2")) == []
    return state, busy


def test_idle_workers_of_the_old_generation_are_closed_at_the_switch() -> None:
    state = machine("old")
    state.on_worker("new", 2)
    assert state.on_generation(generation(2, "a/2")) == [Close("old")]
    assert state.workers == 1


def test_after_the_switch_requests_go_to_the_new_workers() -> None:
    state, busy = two_generations()
    answer(state, busy)
    fresh = request("a/2")
    submit(state, [fresh])
    assert state.assign(0.0) == [Close("old"), Send("new", 2, "a/2", [fresh])]


def test_old_workers_leave_what_new_ones_can_serve() -> None:
    state = machine("old", keys=["a/1", "b/1"])
    submit(state, [request("b/1")])
    [busy] = sends(state.assign(0.0))
    state.on_worker("new", 2)
    state.on_generation(generation(2, "a/2", "b/1"))
    submit(state, [request("a/2")])
    state.assign(0.0)
    waiting = request("b/1")
    submit(state, [waiting])
    answer(state, busy)
    assert state.assign(0.0) == [Close("old")]
    assert state.queued_requests == 1


def test_old_workers_finish_what_only_they_can_serve_then_leave() -> None:
    state, busy = two_generations()
    waiting = request("a/1")
    submit(state, [waiting])
    answer(state, busy)
    [last] = sends(state.assign(0.0))
    assert (last.worker, last.requests) == ("old", [waiting])
    answer(state, last)
    assert state.assign(0.0) == [Close("old")]


def test_requests_whose_version_has_left_go_to_the_current_one() -> None:
    state, busy = two_generations()
    waiting = request("a/1")
    submit(state, [waiting])
    assert state.on_worker_lost("old") == []
    assert (busy.requests[0].model_key, waiting.model_key) == ("a/2", "a/2")
    [retried] = sends(state.assign(0.0))
    assert (retried.worker, retried.requests) == ("new", busy.requests)
    answer(state, retried)
    assert held(state.assign(0.0)) == [("new", [waiting])]


def test_a_pinned_request_whose_version_has_left_is_answered() -> None:
    state, _ = two_generations()
    pinned = request("a/1", pinned=True)
    submit(state, [pinned])
    assert Refuse(pinned, Refusal.MODEL_GONE) in state.on_worker_lost("old")


def test_a_request_whose_model_has_gone_is_answered() -> None:
    state, waiting = machine(keys=["a/1", "b/1"]), request("b/1")
    submit(state, [waiting])
    assert state.on_generation(generation(2, "a/1")) == [Refuse(waiting, Refusal.MODEL_GONE)]
    assert state.idle


def test_what_waits_for_a_model_that_has_left_is_answered_by_the_workers_that_still_hold_it() -> None:
    """Another pool serves it now, and what is sent from now on goes there."""
    state, waiting = machine("w", keys=["a/1", "b/1"]), request("b/1", pinned=True)
    submit(state, [request("a/1")])
    [busy] = sends(state.assign(0.0))
    submit(state, [waiting])
    assert state.on_generation(generation(1, "a/1")) == []
    answer(state, busy)
    assert held(state.assign(0.0)) == [("w", [waiting])]
    state.on_generation(generation(2, "a/1"))
    assert state.on_submit(request("c/1"), 0.0) is Refusal.MODEL_GONE


def test_a_request_goes_to_the_version_that_is_current() -> None:
    state, waiting = machine(keys=["a/1"]), request("a/1")
    submit(state, [waiting])
    older = ModelPolicy("a", MANY, current=False)
    state.on_worker("new", 2)
    state.on_generation(Generation("r", 2, {"a/3": older, "a/4": ModelPolicy("a", MANY), "a/5": older}))
    assert [send.model_key for send in sends(state.assign(0.0))] == ["a/4"]


def test_a_request_that_arrives_after_its_version_has_left_goes_to_the_current_one() -> None:
    """Its path was looked up before the switch, and then its body came slowly."""
    state = machine("old", keys=["a/1"])
    state.on_worker("new", 2)
    state.on_generation(generation(2, "a/2"))
    slow = request("a/1")
    submit(state, [slow])
    assert state.assign(0.0) == [Send("new", 1, "a/2", [slow])]


def test_a_pinned_request_that_arrives_after_its_version_has_left_is_refused() -> None:
    state = machine("old", keys=["a/1"])
    state.on_generation(generation(2, "a/2"))
    assert state.on_submit(request("a/1", pinned=True), 0.0) is Refusal.MODEL_GONE
    assert state.on_submit(request("c/1"), 0.0) is Refusal.MODEL_GONE
    assert state.idle


def test_workers_of_a_generation_to_come_stay_when_one_of_the_present_is_lost() -> None:
    """They are connected one after another before the switch; a worker may die meanwhile."""
    state = machine("w", "v", keys=["a/1"])
    state.on_worker("next", 2)
    assert state.on_worker_lost("w") == []
    assert state.on_generation(generation(2, "a/2")) == [Close("v")]
    assert state.workers == 1


def test_a_worker_that_joins_the_present_generation_serves() -> None:
    state = machine()
    submit(state, [waiting := request()])
    state.on_worker("refill", 1)
    assert state.on_generation(generation(1, "a/1", "b/1")) == []
    assert held(state.assign(0.0)) == [("refill", [waiting])]


# Workers that other web processes hold


def test_a_worker_that_another_web_process_holds_gets_nothing_until_it_is_free() -> None:
    state, waiting = machine("w", "v"), requests(1)
    submit(state, waiting)
    assert state.assign(0.0, {"w": "b", "v": "b"}) == []
    assert held(state.assign(0.0, {"w": "b"})) == [("v", waiting)]


def test_what_a_model_holds_in_another_web_process_counts_to_its_share() -> None:
    state = machine("w", "v", "u")
    state.on_generation(Generation("r", 1, generation(1, "a/1", "b/1").models, None, 1))
    submit(state, [request("a/1"), quick := request("b/1")])
    assert held(state.assign(0.0, {"w": "a"})) == [("v", [quick])], "the model that is stuck elsewhere has its share"


# The lane of what nobody waits for


def in_background(key: str = "a/1", **more: Any) -> Request:
    one = request(key, **more)
    one.lane = Lane.BATCH
    return one


def test_what_nobody_waits_for_gets_a_worker_only_when_no_caller_wants_it() -> None:
    state, behind, live = machine("w"), in_background(), request("b/1")
    submit(state, [behind, live])
    [first] = sends(state.assign(0.0))
    assert first.requests == [live]
    answer(state, first)
    submit(state, [later := request()])
    [second] = sends(state.assign(0.0))
    assert second.requests == [later], "it came later, and is served first"
    answer(state, second)
    assert held(state.assign(0.0)) == [("w", [behind])]


def test_of_several_workers_one_is_kept_for_callers_who_wait() -> None:
    state = machine("w", "v", "u", alone=["a/1"])
    submit(state, [in_background() for _ in range(3)])
    assert len(sends(state.assign(0.0))) == 2
    submit(state, [live := request()])
    assert [send.requests for send in sends(state.assign(0.0))] == [[live]]


def test_what_nobody_waits_for_is_not_joined_with_what_somebody_does_and_fills_no_queue_of_theirs() -> None:
    state = machine("w", limits=Limits(queue_max_requests=2))
    submit(state, [in_background(), in_background()])
    assert state.on_submit(in_background(), 0.0) is Refusal.QUEUE_FULL
    submit(state, [live := request()])
    assert (state.queued_requests, state.queued("a/1"), state.queued("b/1")) == (3, 3, 0)
    assert held(state.assign(0.0)) == [("w", [live])]


def test_what_nobody_waits_for_goes_once_more_when_its_worker_dies_and_ends_with_its_model() -> None:
    state, behind = machine("w", "v"), in_background(pinned=True)
    submit(state, [behind])
    [sent] = sends(state.assign(0.0))
    assert state.busy == {sent.worker}
    assert state.on_worker_lost(sent.worker) == []
    state.on_worker("u", 1)
    [again] = sends(state.assign(0.0))
    assert (again.requests, behind.attempts) == ([behind], 2)
    submit(state, [late := in_background("b/1", deadline=5.0), gone := in_background("b/1", pinned=True)])
    assert state.on_time(5.0) == [Refuse(late, Refusal.DEADLINE)]
    state.on_abandoned(gone)
    assert state.queued_requests == 0


# Everything at once

LIMITS = Limits(queue_max_requests=12, queue_max_bytes=400, batch_max_requests=4, batch_max_bytes=120, kill_after_s=0.5)
SLOW = 0.01


class Dispatching(RuleBasedStateMachine):
    """Random events; whatever they are, each request ends exactly once and each promise about batches holds."""

    @initialize()
    def begin(self) -> None:
        self.state = DispatchState(LIMITS)
        self.now = 0.0
        self.number = 0
        self.named = 0
        self.generations: dict[int, dict[str, ModelPolicy]] = {}
        self.keys_ever: list[str] = ["never/0"]
        self.workers: dict[str, int] = {}
        self.killed: set[str] = set()
        self.leaving: set[str] = set()
        self.gone: set[str] = set()
        """Models of the present generation that are served no more; its workers hold them still."""
        self.busy: dict[str, Send] = {}
        self.elsewhere: dict[str, str] = {}
        self.accepted: list[Request] = []
        self.ended: dict[int, int] = {}
        self.switch(["a", "b"], [], 1)

    # Events

    @rule(
        data=st.data(),
        size=st.integers(1, 130),
        lifetime=st.floats(0, 5),
        pinned=st.booleans(),
        lane=st.sampled_from(Lane),
    )
    def submit(self, data: st.DataObject, size: int, lifetime: float, pinned: bool, lane: Lane) -> None:
        one = request(data.draw(st.sampled_from(self.keys_ever[-6:])), size, self.now + lifetime, pinned)
        one.lane = lane
        waiting = [r for r in self.waiting() if r.lane == lane]
        refusal = self.state.on_submit(one, self.now)
        like = [r for r in waiting if r.model_key == one.model_key]
        full = len(like) >= 12 or (like and sum(r.body_bytes for r in like) + size > 400)
        full = full or (waiting and sum(r.body_bytes for r in waiting) + size > 800)
        if refusal is not Refusal.MODEL_GONE:
            assert (refusal is Refusal.QUEUE_FULL) == bool(full)
        if refusal is None:
            served = {
                key for number in {self.number, *self.workers.values()} for key in self.generations.get(number, {})
            }
            assert one.model_key in served, "waits for a version that nobody holds"
            self.accepted.append(one)

    @rule(count=st.integers(1, 8))
    def burst(self, count: int) -> None:
        for key in [key for key in self.generations[self.number] for _ in range(count)]:
            one = request(key, 10, self.now + 3.0)
            if self.state.on_submit(one, self.now) is None:
                self.accepted.append(one)
        self.assign()

    @precondition(lambda self: [r for r in self.accepted if id(r) not in self.ended])
    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from([r for r in self.accepted if id(r) not in self.ended]))
        self.state.on_abandoned(one)
        self.end(one)

    @rule()
    def assign(self) -> None:
        self.carry_out(self.state.assign(self.now, self.elsewhere))

    @rule(data=st.data())
    def others_hold_workers(self, data: st.DataObject) -> None:
        """Or do so no more. One may be held by others and by us: its socket has two batches."""
        workers = st.sampled_from([*sorted(self.workers), "not-ours"])
        self.elsewhere = data.draw(st.dictionaries(workers, st.sampled_from("abc"), max_size=3))

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), predict_s=st.sampled_from([0.0, SLOW, 1.0]))
    def reply(self, data: st.DataObject, predict_s: float) -> None:
        worker = data.draw(st.sampled_from(sorted(self.busy)))
        send = self.busy.pop(worker)
        requests = self.state.on_reply(worker, send.batch, len(send.requests), predict_s, self.now)
        assert requests is send.requests
        for one in send.requests:
            if not one.answered:
                self.end(one)

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.busy)))
        instructions = self.state.on_returned(worker, self.busy.pop(worker).batch)
        assert instructions is not None
        self.leaving.add(worker)
        self.carry_out(instructions)
        assert worker not in self.workers, "it would be sent the same batch again"

    @rule(worker=st.integers(0, 12), batch=st.integers(0, 99))
    def lie(self, worker: int, batch: int) -> None:
        send = self.busy.get(f"w{worker}")
        if send is None or send.batch != batch:
            assert self.state.on_reply(f"w{worker}", batch, 1, 0.0, self.now) is None
        else:
            assert self.state.on_reply(f"w{worker}", batch, len(send.requests) + 1, 0.0, self.now) is None

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.lose_one(data.draw(st.sampled_from(sorted(self.workers))))

    def lose_one(self, worker: str) -> None:
        del self.workers[worker]
        self.busy.pop(worker, None)
        self.carry_out(self.state.on_worker_lost(worker))

    @rule(seconds=st.floats(0, 2))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.state.on_time(self.now))

    @rule()
    def refill(self) -> None:
        self.connect(self.number)
        self.tell()

    @precondition(lambda self: self.number in self.workers.values())
    @rule(data=st.data(), share=st.integers(0, 2))
    def replace_a_worker(self, data: st.DataObject, share: int) -> None:
        present = sorted(w for w, number in self.workers.items() if number == self.number)
        self.leaving.add(data.draw(st.sampled_from(present)))
        self.connect(self.number)
        self.share = share
        self.tell()

    @rule()
    def connect_for_the_next_generation(self) -> None:
        self.connect(self.number + 1)

    @rule(
        changed=st.lists(st.sampled_from("abc"), unique=True),
        gone=st.lists(st.sampled_from("abc"), max_size=1),
        workers=st.integers(0, 3),
    )
    def switch(self, changed: list[str], gone: list[str], workers: int) -> None:
        models = {p.model: key for key, p in self.generations.get(self.number, {}).items()}
        self.number += 1
        models |= {name: f"{name}/{self.number}" for name in changed}
        keys = [key for name, key in models.items() if name not in gone]
        self.keys_ever += keys
        for _ in range(workers):
            self.connect(self.number)
        turned = generation(self.number, *keys, alone=[k for k in keys if k.startswith("b/")])
        self.generations[self.number] = dict(turned.models)
        self.share = 0
        self.gone = set()
        self.carry_out(self.state.on_generation(turned))

    @precondition(lambda self: self.generations[self.number])
    @rule(data=st.data())
    def a_model_goes_before_its_generation(self, data: st.DataObject) -> None:
        self.gone.add(data.draw(st.sampled_from(sorted(self.generations[self.number]))))
        self.tell()

    # What is carried out

    def tell(self) -> None:
        policies = {key: p for key, p in self.generations[self.number].items() if key not in self.gone}
        listed = frozenset(self.workers) - self.leaving
        self.carry_out(self.state.on_generation(Generation("r", self.number, policies, listed, self.share)))

    def connect(self, number: int) -> None:
        name = f"w{self.named}"
        self.named += 1
        self.workers[name] = number
        self.state.on_worker(name, number)

    def carry_out(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Send():
                    self.check_send(instruction)
                    self.busy[instruction.worker] = instruction
                case Refuse(one, refusal):
                    assert one.answered
                    assert refusal is not Refusal.QUEUE_FULL
                    self.end(one)
                case Kill(worker, _):
                    assert worker in self.busy
                    assert worker not in self.killed
                    self.killed.add(worker)
                case Close(worker):
                    assert worker not in self.busy
                    assert self.workers.pop(worker) < self.number or worker in self.leaving

    def check_send(self, send: Send) -> None:
        assert send.worker in self.workers, "sent to a worker that has left"
        assert send.worker not in self.busy, "a worker holds two batches"
        assert send.worker not in self.killed
        assert send.worker not in self.leaving, "sent to a worker that is to leave"
        assert send.worker not in self.elsewhere, "sent to a worker that another web process holds"
        assert all(r.deadline > self.now for r in send.requests), "sent too late"
        newest = [s for s in self.busy.values() if self.workers.get(s.worker) == self.number]
        alike = [s for s in newest if s.requests[0].model == send.requests[0].model]
        others = [w for w, model in self.elsewhere.items() if model == send.requests[0].model]
        alike_elsewhere = [w for w in others if w not in self.busy and self.workers.get(w) == self.number]
        assert not self.share or len(alike) + len(alike_elsewhere) < self.share, "one model holds more than its share"
        assert {r.model_key for r in send.requests} == {send.model_key}
        [lane] = {r.lane for r in send.requests}
        able = [w for w, number in self.workers.items() if number == self.number and w not in self.killed]
        if lane is Lane.BATCH and len([w for w in able if w not in self.leaving]) > 1:
            assert set(self.workers) - set(self.busy) - {send.worker}, "no worker is left for callers who wait"
        policies = self.generations[self.workers[send.worker]]
        assert 1 <= len(send.requests) <= min(policies[send.model_key].max_requests, LIMITS.batch_max_requests)
        assert len(send.requests) == 1 or sum(r.body_bytes for r in send.requests) <= LIMITS.batch_max_bytes
        assert len(send.requests) == 1 or all(r.attempts == 1 for r in send.requests), "a retried request has company"
        assert all(r.attempts <= 2 and not r.answered for r in send.requests)
        assert self.workers[send.worker] == self.number or send.model_key not in self.generations[self.number]

    def end(self, one: Request) -> None:
        self.ended[id(one)] = self.ended.get(id(one), 0) + 1

    # What holds at all times

    def waiting(self) -> list[Request]:
        in_flight = self.held()
        return [r for r in self.accepted if id(r) not in self.ended and id(r) not in in_flight]

    def held(self) -> set[int]:
        return {id(r) for send in self.busy.values() for r in send.requests}

    @invariant()
    def every_request_waits_or_is_held_or_has_ended_once(self) -> None:
        assert all(times == 1 for times in self.ended.values())
        waiting = self.waiting()
        assert self.state.queued_requests == len(waiting)
        assert self.state.queued_bytes == sum(r.body_bytes for r in waiting)

    @invariant()
    def idle_means_that_nothing_waits_and_nothing_is_held(self) -> None:
        open_requests = [r for r in self.accepted if id(r) not in self.ended]
        assert self.state.idle == (not open_requests and not self.busy)

    def teardown(self) -> None:
        """Once what was killed is dead and one worker answers, everything comes to its end."""
        if not hasattr(self, "state"):
            return
        self.elsewhere = {}
        for worker in sorted(self.killed):
            if worker in self.workers:  # not closed meanwhile
                self.lose_one(worker)
        self.refill()
        for _ in range(4 * len(self.accepted) + 8):
            self.assign()
            for send in list(self.busy.values()):
                del self.busy[send.worker]
                self.state.on_reply(send.worker, send.batch, len(send.requests), 0.0, self.now)
                for one in send.requests:
                    if not one.answered:
                        self.end(one)
        assert self.state.idle
        assert (self.state.queued_requests, self.state.queued_bytes) == (0, 0)
        assert sorted(self.ended) == sorted(id(r) for r in self.accepted)
        assert set(self.ended.values()) <= {1}


TestDispatching = Dispatching.TestCase
TestDispatching.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
