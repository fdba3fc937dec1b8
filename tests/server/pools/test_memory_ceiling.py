"""The workers' ceilings of memory: an even share of what is granted, and a warning where that is too little."""

from __future__ import annotations

import pytest

from server.config import Settings
from server.pools import memory_ceiling

GIB = 1 << 30


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_ceiling, "granted_cores", lambda: 4)
    monkeypatch.setattr(memory_ceiling, "granted_memory_bytes", lambda: 16 * GIB)
    monkeypatch.setattr(memory_ceiling.gpus, "count", lambda: 0)


def test_workers_share_four_fifths_of_the_memory_evenly() -> None:
    settings = Settings(r_workers=8, python_workers=2)
    assert memory_ceiling.forks(settings) == 2 * (4 + 2) + 1 + memory_ceiling.PROBES
    assert memory_ceiling.ceiling_bytes(settings) == int(0.8 * 16 * GIB) // memory_ceiling.forks(settings)


def test_a_stated_ceiling_is_taken() -> None:
    assert memory_ceiling.ceiling_bytes(Settings(worker_memory_mb=700)) == 700 << 20


def test_ceilings_that_fit_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    memory_ceiling.check(Settings())
    assert not caplog.records


def test_ceilings_that_do_not_fit_are_warned_of_with_the_numbers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory_ceiling, "granted_memory_bytes", lambda: GIB)
    assert memory_ceiling.ceiling_bytes(Settings()) == memory_ceiling.LEAST_BYTES
    memory_ceiling.check(Settings())
    [record] = caplog.records
    reason = record.__dict__["reason"]
    assert all(part in reason for part in ("256 MiB", "1024 MiB", "TANDEM_WORKER_MEMORY_MB"))
