"""What a scoring path leads to."""

from __future__ import annotations

from dataclasses import dataclass

from auth.principal import Principal
from server.dispatch.dispatcher import Dispatcher
from server.web.dialects.dialect import Dialect
from server.web.problems import Stop, problem
from server.wire.snapshot import Entry


@dataclass(frozen=True, slots=True)
class Target:
    """A model version, and the way to it."""

    entry: Entry
    timeout_s: float
    """Longest time that a request may take."""
    pinned: bool
    """Whether the path names the version."""
    dispatcher: Dispatcher | None
    """The way to the workers; None where another server has the model."""
    dialect: Dialect
    """How whoever asks by this path is understood and answered."""
    url: str = ""
    """Address at which the other server answers for the model."""


def allowed(target: Target | None, principal: Principal) -> Target | None:
    """The target if the principal may score with it; None for one that it may not even see."""
    name = target.entry.name if target is not None else None
    if principal.may("score", name):
        return target
    if name is not None and principal.may("list") and not principal.may("list", name):
        return None
    raise Stop(problem("forbidden"))
