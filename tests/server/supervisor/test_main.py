"""The supervisor's own order of things, where a server would show a fault only by chance."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from server.config import Settings
from server.supervisor.main import Supervisor
from server.wire.snapshot import Snapshot


def test_it_is_ready_when_the_web_processes_say_so_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Regression: with ten thousand files the log said "ready" seconds before /health/ready did."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    caplog.set_level(logging.INFO)
    switched = asyncio.Event()
    pushed: list[bool] = []

    async def push(snapshot: Snapshot) -> None:
        pushed.append(snapshot.complete)
        await switched.wait()

    async def started() -> None:
        """They are there at once."""

    async def scene() -> None:
        supervisor = Supervisor(Settings(data=tmp_path / "data"), cores=1)
        monkeypatch.setattr(supervisor._hub, "push", push)
        monkeypatch.setattr(supervisor._web, "started", started)
        supervisor._scanned = True
        announcing = asyncio.create_task(supervisor._announce("http://here"))
        publishing = asyncio.create_task(supervisor._publish())
        for _ in range(5):
            await asyncio.sleep(0)
        assert pushed == [True]
        assert not announcing.done()
        switched.set()
        await asyncio.gather(publishing, announcing)
        supervisor._run_folder.remove()

    asyncio.run(scene())
    assert [record.message for record in caplog.records] == ["ready"]
