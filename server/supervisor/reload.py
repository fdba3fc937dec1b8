"""Reload (SIGHUP): which settings change when they are read anew, and which need a restart."""

from __future__ import annotations

from server.config import Settings, changing


def merged(now: Settings, read: Settings) -> tuple[Settings, frozenset[str], frozenset[str]]:
    """Returns the settings to use from now on, the names of those that change, and of those that need a restart."""
    fixed = changing("restart")
    differ = frozenset(name for name in Settings.model_fields if getattr(now, name) != getattr(read, name))
    kept = {name: getattr(now, name) for name in fixed}
    return read.model_copy(update=kept), differ - fixed, differ & fixed
