"""Sessions of processes give way to others, and take it back."""

from __future__ import annotations

import asyncio
import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from server.machine import autogroup

NONE = "none"


@pytest.fixture
def session() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process.pid
        process.kill()


def group(leader: int) -> str:
    """The nice of a session's group, where Linux has such."""
    try:
        return Path(f"/proc/{leader}/autogroup").read_text().split()[-1]
    except OSError:
        return NONE


def test_a_session_gives_way_and_takes_it_back(session: int) -> None:
    there = group(session) != NONE
    assert asyncio.run(autogroup.set_nice(session, autogroup.ASIDE)) is there
    assert group(session) == (str(autogroup.ASIDE) if there else NONE)
    assert asyncio.run(autogroup.set_nice(session, autogroup.NORMAL)) is there
    assert group(session) == ("0" if there else NONE)


def test_where_there_are_no_groups_or_no_process_nothing_is_done(tmp_path: Path) -> None:
    assert not asyncio.run(autogroup.set_nice(7, autogroup.ASIDE, tmp_path))


def test_where_groups_were_changed_a_moment_ago_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autogroup, "AGAIN_AFTER_S", 0.0)
    busy = [BlockingIOError(errno.EAGAIN, "too soon")] * 3
    with patch.object(Path, "write_text", side_effect=[*busy, None]) as write:
        assert asyncio.run(autogroup.set_nice(7, autogroup.ASIDE, tmp_path))
    assert write.call_count == 4


@pytest.mark.parametrize("longest_s", [60.0, 0.01])
def test_a_session_stands_aside_until_it_comes_forward_and_not_for_ever(
    session: int, monkeypatch: pytest.MonkeyPatch, longest_s: float
) -> None:
    monkeypatch.setattr(autogroup, "LONGEST_S", longest_s)
    usual = group(session)

    async def scene() -> None:
        aside = autogroup.Aside(session)
        await asyncio.sleep(0)
        assert group(session) == (usual if usual == NONE else str(autogroup.ASIDE))
        if longest_s > 1:
            await aside.come_forward()
        await aside._standing
        assert group(session) == usual

    asyncio.run(scene())
