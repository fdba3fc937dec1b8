"""The scoring paths that a catalog implies. Pure: the same catalog always gives the same paths."""

from __future__ import annotations

from collections.abc import Mapping

from server.dispatch.dispatcher import Dispatcher
from server.web.dialects.dialect import Dialect, Dialects
from server.web.scoring.endpoint_targets import OnRerouted, endpoint_targets
from server.web.scoring.target import Target
from server.wire.snapshot import Entry, Snapshot


def _nobody(endpoint: str, deployment: str) -> None:
    """Count nothing."""


def targets(
    snapshot: Snapshot,
    dispatchers: Mapping[str, Dispatcher],
    dialects: Dialects,
    timeout_s: float,
    on_rerouted: OnRerouted = _nobody,
) -> dict[str, Target]:
    """Each scoring path with where it leads.

    `dispatchers` are the ways to the pools, by name. No request may take longer than `timeout_s`, or than its model's
    own limit where that is lower. `on_rerouted` is told of each request that a deployment answers for another.
    """
    found: dict[str, Target] = {}
    for entry in snapshot.entries:
        if entry.state != "ready" and entry.code != "remote_unavailable":
            continue
        for path, pinned, dialect in dialects.mounts(entry):
            found[path] = _target(snapshot, entry, path, pinned, dialect, dispatchers, timeout_s)
    return found | endpoint_targets(snapshot, dispatchers, dialects, timeout_s, found, on_rerouted)


def _target(
    snapshot: Snapshot,
    entry: Entry,
    path: str,
    pinned: bool,
    dialect: Dialect,
    dispatchers: Mapping[str, Dispatcher],
    timeout_s: float,
) -> Target:
    timeout_s = min(entry.timeout_s or timeout_s, timeout_s)
    if entry.remote:
        return Target(entry, timeout_s, pinned, None, dialect, snapshot.remotes[entry.remote].url + path)
    return Target(entry, timeout_s, pinned, dispatchers[entry.pool], dialect)
