"""The plan of a pool: which runtime, how many workers, which packages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

ANSWER_TIMEOUT_S = 10.0


async def no_environment() -> None:
    """No environment: models use the server's own packages."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """The plan of a pool: `size` workers, whose libraries may use `threads` each, and their packages."""

    name: str
    runtime: str
    size: int
    threads: int = 1
    spares: bool = False
    """Whether a pool of several models has twice as many workers, of which one model may hold `size` at most."""
    answer_timeout_s: float = ANSWER_TIMEOUT_S
    """How long a new worker may take to answer; one that loads the models itself needs longer."""
    environment: Callable[[], Awaitable[Path | None]] = no_environment
    """The folder of the packages that come before the server's, if any. Raises EnvironmentFailed."""
    isolated: str | None = None
    """Why the pool is for one model only, where that was found out by a probe; None where the sidecar asked for it."""

    @property
    def workers_read(self) -> bool:
        """Whether each worker reads the models itself, so that the template never does."""
        return self.runtime in ("torch", "script")
