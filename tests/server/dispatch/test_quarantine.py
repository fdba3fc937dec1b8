"""The quarantine: a request's like is refused, anything else is not, and only for a while."""

from __future__ import annotations

from server.dispatch.messages import Request
from server.dispatch.quarantine import MAX_CRASHES, MAX_DIGESTS, QUARANTINE_S, Quarantine
from server.wire.frames import BodyFormat, Member, Pieces


def request(body: bytes | Pieces, key: str = "a/1", principal: str = "ann", **more: object) -> Request:
    member = Member(body)._replace(**more)  # type: ignore[arg-type]  # fields of whatever type
    return Request("r", key.partition("/")[0], key, member, len(body), 100.0, 0.0, principal=principal)


def test_only_the_like_of_what_was_added_is_held() -> None:
    quarantine = Quarantine()
    quarantine.add(request(b"body"), 0.0)
    assert quarantine.holds(request(b"body"), 1.0)
    assert quarantine.holds(request(Pieces([b"bo", b"dy"], 4)), 1.0)
    assert not quarantine.holds(request(b"other"), 1.0)
    assert not quarantine.holds(request(b"body", "a/2"), 1.0)
    assert not quarantine.holds(request(b"body", content=BodyFormat.CSV), 1.0)
    assert quarantine.holds(request(b"body", parameters=b"z=1"), 1.0)


def test_it_ends_after_a_minute() -> None:
    quarantine = Quarantine()
    quarantine.add(request(b"body"), 0.0)
    assert quarantine.holds(request(b"body"), QUARANTINE_S - 0.1)
    assert not quarantine.holds(request(b"body"), QUARANTINE_S)


def test_it_does_not_grow_without_end() -> None:
    quarantine = Quarantine()
    for number in range(MAX_DIGESTS + 1):
        quarantine.add(request(b"%d" % number), 0.0)
    assert not quarantine.holds(request(b"0"), 1.0)
    assert quarantine.holds(request(b"1"), 1.0)


def test_whoever_sends_one_killing_body_after_another_is_refused_at_this_model_and_for_a_while() -> None:
    quarantine = Quarantine()
    for number in range(MAX_CRASHES):
        assert quarantine.bars_s(request(b"any"), 9.0) == 0
        quarantine.add(request(b"%d" % number), float(number))
    last = MAX_CRASHES - 1.0
    assert quarantine.bars_s(request(b"any"), last + 1) == QUARANTINE_S - 1
    assert quarantine.bars_s(request(b"any", "a/2"), last + 1) > 0
    assert quarantine.bars_s(request(b"any", "b/1"), last + 1) == 0
    assert quarantine.bars_s(request(b"any", principal="bob"), last + 1) == 0
    assert quarantine.bars_s(request(b"any"), last + QUARANTINE_S) == 0


def test_bodies_that_kill_workers_now_and_then_bar_nobody() -> None:
    quarantine = Quarantine()
    for number in range(MAX_CRASHES):
        quarantine.add(request(b"%d" % number), number * QUARANTINE_S)
    assert quarantine.bars_s(request(b"any"), MAX_CRASHES * QUARANTINE_S) == 0
