"""What a pool is of: which runtime, how many workers, of which packages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

ANSWER_TIMEOUT_S = 10.0


async def no_environment() -> None:
    """The server's own packages are all."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What a pool is of: `size` workers, whose libraries may use `threads` each, and of which packages."""

    name: str
    runtime: str
    size: int
    threads: int = 1
    spares: bool = False
    """Whether there are as many again while there are several models, of which one may hold `size` at most."""
    answer_timeout_s: float = ANSWER_TIMEOUT_S
    """How long a new worker may take to answer; one that loads the models itself needs longer."""
    environment: Callable[[], Awaitable[Path | None]] = no_environment
    """The folder of the packages that come before the server's, if any. Raises EnvironmentFailed."""
    isolated: str | None = None
    """Why it is of one model, where that was found out and not asked for."""

    @property
    def workers_read(self) -> bool:
        """Whether each worker reads the models itself, so that the template never does."""
        return self.runtime in ("torch", "script")
