"""Reload (SIGHUP): which settings change when they are read anew, and which need a restart."""

from __future__ import annotations

import asyncio
import logging
import time

from auth.audit import Act
from auth.errors import AuthError
from auth.setup import write_audit
from server.config import Settings, changing

log = logging.getLogger(__name__)


def merged(now: Settings, read: Settings) -> tuple[Settings, frozenset[str], frozenset[str]]:
    """Returns the settings to use from now on, the names of those that change, and of those that need a restart."""
    fixed = changing("restart")
    differ = frozenset(name for name in Settings.model_fields if getattr(now, name) != getattr(read, name))
    kept = {name: getattr(now, name) for name in fixed}
    return read.model_copy(update=kept), differ - fixed, differ & fixed


async def tell(settings: Settings, changed: frozenset[str], need_restart: frozenset[str]) -> None:
    """Have log and audit say which settings changed.

    Where the audit cannot be written they hold all the same: a setting may be the cure.
    """
    log.info("settings changed", extra={"settings": sorted(changed)})
    act = Act("settings.read", more={"settings": sorted(changed), "restart": sorted(need_restart)})
    where = settings.data, time.time(), settings.accounts, settings.token_key, settings.database
    try:
        await asyncio.to_thread(write_audit, act, *where)
    except AuthError as problem:
        log.error("the settings that changed are not in the audit", extra={"reason": str(problem)})
