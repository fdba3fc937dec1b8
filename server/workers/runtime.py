"""What a runtime (R, Python, torch) must do; the template and the loop know no more of it than this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from server.workers.traces import Part

if TYPE_CHECKING:  # a script's process has no use for the codecs and their libraries
    from server.workers.score import Model
    from server.workers.score_script import RawModel


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model file to probe or load, with what its sidecar says. `key` names it in every frame."""

    key: str
    name: str
    version: str
    path: str
    packages: Sequence[str] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Mapping[str, Any]] = ()
    outputs: Sequence[Mapping[str, Any]] = ()
    signature: Sequence[Mapping[str, Any]] = ()
    """The inputs as MLflow wrote them down: name, type, shape or dtype, and whether they are optional.

    The file may know better.
    """
    extra: Literal["ignore", "refuse"] = "ignore"
    golden: Sequence[Mapping[str, Any]] = ()
    max_rows: int = 1024
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the sidecar says that only one runtime understands (`server.catalog.sidecar.RuntimeSettings`).

    Of a model of MLflow also `code`, the folder of its modules, or `pyfunc`, what loads it (`server.catalog.mlmodel`).
    """
    schema: Mapping[str, Any] | None = None
    example: Mapping[str, Any] | None = None
    rowwise: bool = False
    load_timeout_s: float = 60.0
    """How long reading and trying the model may take; trying optional things takes a small part of it."""
    loads_in_worker: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)
    harmless: Sequence[str] = ()
    """As the probe found them; only given to `load`, but for an example that the model's author gave."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a probe found out about a model, as plain JSON data."""

    schema: Mapping[str, Any]
    model_class: str
    package: str | None
    package_version: str | None
    example: Any
    """A row; of a script any body, or None."""
    example_prediction: Any
    rowwise: bool
    batch_reason: str
    golden_rows: int
    load_warnings: Sequence[str] = ()
    """What the library warned of while it read the file, and what had to be assumed of the model."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the runtime wants to be told again when it loads the model."""
    isolated: str | None = None
    """Why the model must have a process of its own, where it must."""
    harmless: Sequence[str] = ()
    """What its packages set that nobody else has a use for (`server.workers.traces`)."""
    loads_in_worker: bool = False
    """Whether each worker must read the model itself, because it cannot be called in a fork of who read it."""


class Runtime(Protocol):
    """One way to hold and call models, in one process, on its main thread."""

    name: str
    loads_in_worker: bool
    """Whether each worker loads the models itself, after the fork, because they cannot live through one."""

    @property
    def on_gpu(self) -> bool:
        """Whether this fork computes on a GPU.

        Its driver takes more addresses than any limit, and a second worker could not hold the models beside the first.
        """

    def start(self) -> Mapping[str, str]:
        """Bring the runtime up; returns facts for the log and the catalog (version, BLAS)."""

    def folders(self) -> Sequence[Path]:
        """What it reads besides Python's packages and the system's libraries; asked for after `start`."""

    def shared(self) -> Sequence[Part]:
        """What all its models share, beside what any process has; asked for after `start`.

        None where nothing that a model does can reach another.
        """

    def describe(self, spec: ModelSpec) -> Description:
        """Read the file, its schema, its golden rows; prove whether it may be batched. Raises LoadFailed."""

    def load(self, spec: ModelSpec) -> Model | RawModel:
        """Load a model that was described before. Raises LoadFailed."""

    def settle(self) -> None:
        """Called in the template before it forks: free what can be freed, so that forks share the rest."""

    def limit_memory(self, ceiling_bytes: int) -> None:
        """Called in each fork: whatever the runtime itself can do so that it uses no more than so much from now on."""

    def free(self) -> None:
        """Called in a worker between calls: free what the last calls have left."""

    def rest(self) -> None:
        """Called in a worker when nothing has come for a while."""

    def after_fork(self, seed: int, scratch: Path, slot: int) -> None:
        """Called first in each fork: own random numbers, own folder for temporary files, which is there by now.

        `slot` counts a pool's workers from 1; a probe has 0.
        """
