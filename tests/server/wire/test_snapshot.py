"""The snapshot: what the supervisor says is what web processes have, and no longer than it must be."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, replace

from server.wire.snapshot import Entry, PoolState, RemoteState, Snapshot

REFUSED = Entry("a", "-", "r", "r", "failed", "a/-/1", "a.rds", False, 9, 1.5, reason="no model", code="unreadable")
READY = replace(
    REFUSED,
    state="ready",
    reason=None,
    code=None,
    schema={"inputs": [{"name": "x", "type": "numeric"}]},
    example={"x": 1},
    notes={"of": "the runtime"},
    load_warnings=["old"],
    harmless=["option"],
    rowwise=True,
    current=True,
    max_rows=5,
)


def test_what_is_said_is_what_is_heard() -> None:
    pools = {"r": PoolState(3, {"r-1.1": "/run/r-1.1.sock"}, None, model_share=2, sandbox="landlock 6, seccomp")}
    said = Snapshot(7, (REFUSED, READY), pools, complete=True, remotes={"eu": RemoteState("http://eu", heard=True)})
    assert Snapshot.from_data(json.loads(json.dumps(said.to_data()))) == said
    nothing = Snapshot(1, (), {}, complete=False)
    assert Snapshot.from_data(nothing.to_data()) == nothing


def test_what_very_many_entries_have_alike_is_held_once() -> None:
    data = Snapshot(1, (REFUSED, replace(REFUSED, name="b")), {}, complete=True).to_data()
    one, other = Snapshot.from_data(json.loads(json.dumps(data))).entries
    assert one.reason is other.reason
    assert one.pool is other.pool


def test_of_a_refused_file_only_that_is_said_which_it_has() -> None:
    [said] = Snapshot(1, (REFUSED,), {}, complete=True).to_data()["entries"]
    needed = {field.name for field in fields(Entry) if field.default is MISSING}
    assert said.keys() == needed | {"reason", "code"}
