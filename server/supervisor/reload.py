"""What changes when Tandem is told to read its settings anew (SIGHUP)."""

from __future__ import annotations

from server.config import Settings, changing


def merged(now: Settings, read: Settings) -> tuple[Settings, frozenset[str], frozenset[str]]:
    """The settings to have from now on; the names of those that change; of those that would need a restart."""
    fixed = changing("restart")
    differ = frozenset(name for name in Settings.model_fields if getattr(now, name) != getattr(read, name))
    kept = {name: getattr(now, name) for name in fixed}
    return read.model_copy(update=kept), differ - fixed, differ & fixed
