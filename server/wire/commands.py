"""What the supervisor tells a template to do, and what the template answers: a line of JSON each.

The template takes one command at a time. A fork's pidfd, and a probe's pipe of reports, travel beside the answer that
tells of it, so that the supervisor can watch and kill what it did not start itself. A worker's listening socket travels
beside the command.

    {"do":"probe","models":[spec…],"scratch":path}  -> {"did":"probe","pid":…}          + pidfd, pipe of JSON lines
    {"do":"load","model":spec}                      -> {"did":"load","failed":reason or null,"changed":reason or null}
    {"do":"prepare_fork","keep":[key…]}                   -> {"did":"prepare_fork"}
    {"do":"fork","slot":n,"seed":n,"scratch":path}  -> {"did":"fork","pid":…}           + pidfd

The template says one line of itself, when it has started: {"did":"start","failed":reason or null,"facts":{…}}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from server.wire.models import Description, LoadCode, ModelSpec
from server.wire.record import Misfit, Record

# Answers


@dataclass(frozen=True, slots=True)
class Started(Record):
    """The template has started its runtime and locked itself up."""

    failed: str | None = None
    """Why it could not, where it could not."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Versions of the runtime and its libraries, for the log and the catalog."""
    did: Literal["start"] = "start"


@dataclass(frozen=True, slots=True)
class Probing(Record):
    """A fork of the template looks at models; its reports come through the pipe beside this answer."""

    pid: int
    did: Literal["probe"] = "probe"


@dataclass(frozen=True, slots=True)
class Loaded(Record):
    """The template has tried to load a model."""

    failed: str | None = None
    """Why it could not, where it could not."""
    changed: str | None = None
    """What the model has changed that others would meet, where it has changed something."""
    did: Literal["load"] = "load"


@dataclass(frozen=True, slots=True)
class ForkPrepared(Record):
    """The template is ready to fork."""

    did: Literal["prepare_fork"] = "prepare_fork"


@dataclass(frozen=True, slots=True)
class Forked(Record):
    """A worker has been forked."""

    pid: int
    did: Literal["fork"] = "fork"


@dataclass(frozen=True, slots=True)
class Report(Record):
    """What a probe found out about one model: a description, or a code and a reason why it cannot be served."""

    model_key: str
    seconds: float
    """How long it took."""
    description: Description | None = None
    code: LoadCode | None = None
    reason: str | None = None
    last: bool = False
    """Whether the model has changed the process, so that it is not fit for another."""

    def __post_init__(self) -> None:
        if self.description is None and (self.code is None or self.reason is None):
            raise Misfit("a Report has a description, or a code and a reason")


# Commands


@dataclass(frozen=True, slots=True)
class Probe(Record):
    """Describe models in one forked process, which may write to `scratch`; a report for each up to the last one."""

    models: Sequence[ModelSpec]
    scratch: str
    do: Literal["probe"] = "probe"
    answer: ClassVar = Probing


@dataclass(frozen=True, slots=True)
class Load(Record):
    """Load a model that was described."""

    model: ModelSpec
    do: Literal["load"] = "load"
    answer: ClassVar = Loaded


@dataclass(frozen=True, slots=True)
class PrepareFork(Record):
    """Drop all models but those with these keys, and make ready to fork."""

    keep: Sequence[str]
    do: Literal["prepare_fork"] = "prepare_fork"
    answer: ClassVar = ForkPrepared


@dataclass(frozen=True, slots=True)
class MakeWorker(Record):
    """Fork a worker that listens on the socket beside the command."""

    slot: int
    """Which of the pool's workers it is, counted from 1."""
    seed: int
    """The seed of its random numbers."""
    scratch: str
    """The folder that it may write to."""
    do: Literal["fork"] = "fork"
    answer: ClassVar = Forked


Command = Probe | Load | PrepareFork | MakeWorker

_COMMANDS: Mapping[str, type[Command]] = {"probe": Probe, "load": Load, "prepare_fork": PrepareFork, "fork": MakeWorker}


def command(data: Any) -> Command:
    """The command in plain JSON data. Raises Misfit."""
    kind = _COMMANDS.get(str(data.get("do"))) if isinstance(data, Mapping) else None
    if kind is None:
        raise Misfit(f"a command does one of {', '.join(_COMMANDS)}")
    return kind.from_data(data)
