"""The snapshot: what every web process knows of the models and workers at one moment.

It is immutable, and sent whole as one line of JSON. Its classes are no records (`server.wire.record`): a server may
have ten thousand files, and to look at each member of each of them would hold up a web process. Only the supervisor
writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

State = Literal["loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One model version as the catalog shows it."""

    name: str
    version: str
    runtime: str
    pool: str
    """Whose workers answer: that of the runtime, or a script's own."""
    state: State
    model_key: str
    file: str
    in_version_folder: bool
    size_bytes: int
    modified: float
    reason: str | None = None
    code: str | None = None
    description: str = ""
    model_class: str | None = None
    package: str | None = None
    package_version: str | None = None
    schema: Mapping[str, Any] | None = None
    example: Any = None
    example_prediction: Any = None
    rowwise: bool = False
    batch_reason: str = ""
    golden_rows: int = 0
    load_warnings: Sequence[str] = ()
    made_with: Mapping[str, Any] | None = None
    service: Mapping[str, Any] | None = None
    """What clients of Machine Learning Server know the model by, where the sidecar says it."""
    timeout_s: float | None = None
    max_rows: int | None = None
    """Rows predicted in one call when requests are joined, where the sidecar says it."""
    collect: Mapping[str, Any] | None = None
    """What is recorded of its requests (`server.wire.collect.Collect`), where anything is."""
    load_seconds: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the runtime wants to be told when it loads the model; shown to nobody."""
    isolated: str | None = None
    """Why the model has a process of its own, where it must have one."""
    loads_in_worker: bool = False
    """Whether each worker reads the model by itself; shown to nobody."""
    harmless: Sequence[str] = ()
    """What the model's packages set that nobody else has a use for; shown to nobody."""
    current: bool = False
    """Whether requests that name no version go here."""
    remote: str = ""
    """The server that has the model, by its name here, where it is another; then `pool` is empty."""

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Entry:
        """Back from JSON, also as another version of Tandem wrote it. Raises TypeError where something is missing."""
        shared = {name: sys.intern(value) for name in _ALIKE if type(value := data.get(name)) is str}
        return Entry(**{name: value for name, value in data.items() if name in _ENTRY_FIELDS} | shared)


_ENTRY_FIELDS = frozenset(field.name for field in fields(Entry))
_ALIKE = ("runtime", "pool", "state", "reason", "code")
"""What very many entries have alike, and a process needs to hold once."""
_DEFAULTS = {field.name: field.default for field in fields(Entry)}


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool's workers: names to socket paths, all of one generation."""

    generation: int
    workers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    """Why the pool cannot serve, where it cannot."""
    model_share: int = 0
    """How many workers one model may hold at once; 0 means all."""
    sandbox: str = ""
    """How far the pool's processes are locked up, in words."""


@dataclass(frozen=True, slots=True)
class RemoteState:
    """Another Tandem server whose models are served here too."""

    url: str
    heard: bool = False
    """Whether it has ever told of its models."""
    reason: str | None = None
    """Why it does not tell of them now, where it does not."""


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """A model version behind an endpoint."""

    name: str
    model: str
    version: str
    timeout_s: float | None = None
    """How long a request may take, in seconds; None where the model and the server decide alone."""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    collect: Mapping[str, Any] | None = None
    """What is recorded of its requests, in place of what its model's sidecar says."""
    coming: tuple[str, str] | None = None
    """The model and version that is wanted, while it cannot answer and the one before does."""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """An endpoint as it is in force: its deployments, and by which percentages they answer."""

    name: str
    revision: str
    """Another one with each change; the same at all servers that have the same definition."""
    key_header: str
    """The header by whose value requests are assigned, in small letters."""
    auth_mode: str = "key"
    traffic: Mapping[str, int] = field(default_factory=dict)
    mirror_traffic: Mapping[str, int] = field(default_factory=dict)
    """The percentage of requests of which a deployment gets copies; at most one has any."""
    deployments: tuple[DeploymentState, ...] = ()
    key_generations: Mapping[str, int] = field(default_factory=dict)
    """Numbers by the slots of keys, primary and secondary: a higher one is another key. 1 where nothing is said."""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> EndpointState:
        """Back from JSON."""
        return EndpointState(**{**data, "deployments": tuple(_deployment(d) for d in data["deployments"])})


def _deployment(data: Mapping[str, Any]) -> DeploymentState:
    coming = data.get("coming")
    return DeploymentState(**{**data, "coming": (coming[0], coming[1]) if coming else None})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at once. `serial` grows by one with each snapshot."""

    serial: int
    entries: tuple[Entry, ...]
    pools: Mapping[str, PoolState]
    complete: bool
    """False until the first look at the folders has been answered."""
    draining: bool = False
    """Whether the server is about to stop."""
    remotes: Mapping[str, RemoteState] = field(default_factory=dict)
    endpoints: tuple[EndpointState, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """The snapshot as plain JSON data.

        Entries come without the members that have their default, which most of a refused file's do.
        """
        return {
            "serial": self.serial,
            "entries": [_sparse(entry) for entry in self.entries],
            "pools": {name: asdict(pool) for name, pool in self.pools.items()},
            "complete": self.complete,
            "draining": self.draining,
            "remotes": {name: asdict(remote) for name, remote in self.remotes.items()},
            "endpoints": [asdict(endpoint) for endpoint in self.endpoints],
        }

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Snapshot:
        """The snapshot that `to_data` wrote."""
        return Snapshot(
            data["serial"],
            tuple(Entry.from_data(e) for e in data["entries"]),
            {name: PoolState(**p) for name, p in data["pools"].items()},
            data["complete"],
            data["draining"],
            {name: RemoteState(**r) for name, r in data["remotes"].items()},
            tuple(EndpointState.from_data(e) for e in data["endpoints"]),
        )


def _sparse(entry: Entry) -> dict[str, Any]:
    """The members of an entry that do not have their default, as `Entry.from_data` takes them."""
    members = ((name, getattr(entry, name), default) for name, default in _DEFAULTS.items())
    return {name: value for name, value, default in members if value is not default}
