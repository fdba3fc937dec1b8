"""What a runtime (R, Python, torch, scripts) must do; the template and the loop know no more of it than this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from server.wire.models import Description, ModelSpec
from server.workers.traces import Part

if TYPE_CHECKING:  # a script's process has no use for the codecs and their libraries
    from server.workers.score import Model
    from server.workers.score_script import RawModel


class Runtime(ABC):
    """One way to hold and call models, in one process, on its main thread.

    A runtime has to start, to describe and load models, and to enter a fork. For the rest there are defaults: those of
    a library that holds nothing of its own between calls, and whose memory the limit of the process bounds.
    """

    name: ClassVar[str]
    loads_in_worker: ClassVar[bool] = False
    """Whether each worker loads the models itself, after the fork, because they cannot live through one."""

    @property
    def on_gpu(self) -> bool:
        """Whether this fork computes on a GPU.

        Its driver takes more addresses than any limit, and a second worker could not hold the models beside the first.
        """
        return False

    @abstractmethod
    def start(self) -> Mapping[str, str]:
        """Bring the runtime up; returns facts for the log and the catalog (version, BLAS)."""

    @abstractmethod
    def describe(self, spec: ModelSpec) -> Description:
        """Read the file, its schema, its golden rows; prove whether it may be batched. Raises LoadFailed."""

    @abstractmethod
    def load(self, spec: ModelSpec) -> Model | RawModel:
        """Load a model that was described before. Raises LoadFailed."""

    @abstractmethod
    def after_fork(self, seed: int, scratch: Path, slot: int) -> None:
        """Called first in each fork: own random numbers, own folder for temporary files, which is there by now.

        `slot` counts a pool's workers from 1; a probe has 0.
        """

    def folders(self) -> Sequence[Path]:
        """Folders that the runtime reads besides Python's packages and system libraries; asked for after `start`."""
        return ()

    def shared(self) -> Sequence[Part]:
        """What all models of the runtime share, beside what any process has; asked for after `start`.

        None where nothing that a model does can reach another.
        """
        return ()

    def before_fork(self) -> None:  # noqa: B027
        """Called in the template before it forks: free what can be freed, so that forks share the rest.

        The template collects Python's garbage itself.
        """

    def limit_memory(self, ceiling_bytes: int) -> None:  # noqa: B027
        """Called in each fork: whatever the runtime itself can do so that it uses no more than so much from now on."""

    def free(self) -> None:  # noqa: B027
        """Called in a worker between calls: free what the last calls have left."""

    def on_idle(self) -> None:  # noqa: B027
        """Called in a worker when nothing has come for a while: write down what was held back of its output."""
