"""The quarantine: a request's like is refused, anything else is not, and only for a while."""

from __future__ import annotations

from server.dispatch.messages import Request
from server.dispatch.quarantine import MAX_DIGESTS, QUARANTINE_S, Quarantine
from server.wire.frames import MediaType, Member, Pieces


def request(body: bytes | Pieces, key: str = "a/1", **more: object) -> Request:
    member = Member(body)._replace(**more)  # type: ignore[arg-type]  # fields of whatever type
    return Request("r", "a", key, member, len(body), 100.0, 0.0)


def test_only_the_like_of_what_was_added_is_held() -> None:
    quarantine = Quarantine()
    quarantine.add(request(b"body"), 0.0)
    assert quarantine.holds(request(b"body"), 1.0)
    assert quarantine.holds(request(Pieces([b"bo", b"dy"], 4)), 1.0)
    assert not quarantine.holds(request(b"other"), 1.0)
    assert not quarantine.holds(request(b"body", "a/2"), 1.0)
    assert not quarantine.holds(request(b"body", content=MediaType.CSV), 1.0)
    assert not quarantine.holds(request(b"body", query=b"level=0.9"), 1.0)


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
