"""What a scoring path leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from auth.principal import Principal
from server.dispatch.dispatcher import Dispatcher
from server.web.dialects.dialect import Dialect
from server.web.problems import ProblemError, problem
from server.wire.snapshot import Entry


class Behind(NamedTuple):
    """The endpoint that a target stands behind, and as which of its deployments; as none where it is all of them."""

    endpoint: str
    deployment: str


class Fork(Protocol):
    """The deployments behind an endpoint's path."""

    def choose(self, headers: Mapping[bytes, bytes], request_id: str) -> Target:
        """The deployment that answers a request. Raises ProblemError where none does."""

    def again(self, target: Target) -> Target:
        """The same deployment as it is now."""


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
    behind: Behind | None = None
    """The endpoint that was asked; None where it was the model itself."""
    fork: Fork | None = None
    """Where the path is an endpoint's: its deployments, one of which is the target then."""

    asked: str = field(init=False)
    """The name by which it was asked, the model's or the endpoint's: permissions and limits are for that."""

    shown: Entry = field(init=False)
    """The entry as callers are told of it: behind an endpoint its version is the deployment's name, as Azure has it."""

    def __post_init__(self) -> None:
        behind, entry = self.behind, self.entry
        object.__setattr__(self, "asked", entry.name if behind is None else behind.endpoint)
        object.__setattr__(self, "shown", entry if behind is None else replace(entry, version=behind.deployment))


def allowed(target: Target | None, principal: Principal) -> Target | None:
    """The target if the principal may score with it; None for one that it may not even see."""
    name = target.asked if target is not None else None
    if principal.may("score", name):
        return target
    if name is not None and principal.may("list") and not principal.may("list", name):
        return None
    raise ProblemError(problem("forbidden"))


def now(targets: Mapping[str, Target], path: str, chosen: Target) -> Target:
    """Where the path leads now: the model may have got another version. A request keeps its deployment."""
    target = targets.get(path, chosen)
    if chosen.behind is not None:
        return target.fork.again(chosen) if target.fork is not None else chosen
    return chosen if target.dispatcher is None else target
