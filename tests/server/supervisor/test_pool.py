"""A pool's own order of things, where a server would show a fault only by chance."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from server.catalog.files import ModelFile
from server.config import Settings
from server.supervisor import pool as pool_module
from server.supervisor.pool import Pool, PoolPlan


class Prober:
    """Proves one file at once, and another while the pool is busy with the first."""

    def __init__(self, pool: SlowlyTurningPool) -> None:
        self._pool = pool

    async def examine(self, files: Sequence[ModelFile]) -> None:
        self._pool._on_proven("first")  # type: ignore[arg-type]
        await self._pool.turning.wait()
        self._pool._on_proven("second")  # type: ignore[arg-type]


class SlowlyTurningPool(Pool):
    """A pool whose generations take until all files have been examined."""

    def __init__(self, folder: Path) -> None:
        super().__init__(PoolPlan("r", "r", 1), folder, Settings(), _nothing, lambda pool, reason: None)
        self._prober: Any = Prober(self)
        self.turning = asyncio.Event()
        self.served: list[Any] = []

    async def _serve_proven(self) -> None:
        proven, self._proven = self._proven, []
        self.turning.set()
        while "second" not in [*self._proven, *proven, *self.served]:
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the examination ends here, before this turn does
        self.served += proven


async def _nothing() -> None:
    """Publish to nobody."""


def test_what_is_proven_while_a_generation_turns_is_served_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: with a slow model as the last one, the server waited for it for ever."""
    monkeypatch.setattr(pool_module, "TOGETHER_S", 0.01)

    async def take_in() -> list[Any]:
        pool = SlowlyTurningPool(tmp_path)
        await pool._take_in([])
        return pool.served

    assert asyncio.run(take_in()) == ["first", "second"]
