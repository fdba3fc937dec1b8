"""What a runtime (R, Python, torch) must do; the template and the loop know no more of it than this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from server.wire.models import Description, ModelSpec
from server.workers.traces import Part

if TYPE_CHECKING:  # a script's process has no use for the codecs and their libraries
    from server.workers.score import Model
    from server.workers.score_script import RawModel


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
