"""Whether a model can be called in a fork of the process that read it."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.workers import forked


def test_what_computes_lives_through_a_fork_though_it_raises() -> None:
    def fails() -> None:
        raise ValueError("no such row")

    assert forked.survives([lambda: sum(range(1000)), fails])


def test_what_waits_for_a_thread_of_the_process_that_read_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "STUCK_S", 0.5)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        assert not forked.survives([lambda: pool.submit(int).result()])
        assert pool.submit(int).result() == 0


def test_what_dies_in_a_fork_does_not_and_takes_nobody_along() -> None:
    here = os.getpid()

    def dies() -> None:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)

    assert not forked.survives([dies])


def test_what_computes_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "LONGEST_S", 0.3)
    here = os.getpid()

    def spins() -> None:
        while os.getpid() != here:
            pass

    assert not forked.survives([spins])


def test_it_is_called_again_after_a_pause(tmp_path: Path) -> None:
    with (tmp_path / "calls").open("ab", buffering=0) as calls:
        assert forked.survives([lambda: calls.write(b".")])
    assert (tmp_path / "calls").read_bytes() == b"..."
