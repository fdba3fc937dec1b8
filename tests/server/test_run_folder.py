"""Run folders: one each, and what a killed supervisor left behind is removed by the next."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from server.run_folder import RunFolder
from tests.harness.tandem import Tandem


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def kill(holder: RunFolder) -> None:
    """What the kernel does for a process that ends: it lets go of its locks."""
    os.close(holder._lock)


def test_it_is_for_nobody_else_and_goes_with_all_that_is_in_it(parent: Path) -> None:
    folder = RunFolder()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    (folder.path / "some" / "thing").mkdir(parents=True)
    folder.remove()
    assert list(parent.iterdir()) == []


def test_what_a_killed_supervisor_left_is_removed_by_the_next() -> None:
    left = RunFolder()
    (left.path / "r-1.1.sock").touch()
    kill(left)
    next_one = RunFolder()
    assert not left.path.exists()
    next_one.remove()


def test_that_of_a_living_supervisor_stays() -> None:
    living = RunFolder()
    other = RunFolder()
    assert living.path.exists()
    other.remove()
    living.remove()


def test_one_that_is_just_being_made_and_folders_of_others_stay(
    parent: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    without_pid = Path(tempfile.mkdtemp(prefix="tandem-"))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "pid").touch()
    link = parent / "tandem-link"
    link.symlink_to(elsewhere)
    another = parent / "other"
    another.mkdir()
    (another / "pid").touch()
    RunFolder().remove()
    assert without_pid.exists()
    assert (elsewhere / "pid").exists()
    assert (another / "pid").exists()


def test_the_name_of_the_temporary_folder_may_be_longer_than_a_socket_address(
    tandem_factory: Callable[..., Tandem],
) -> None:
    """Regression: with more than about 60 characters in TMPDIR the start ended in "AF_UNIX path too long"."""
    server = tandem_factory(web_workers=2)
    temporary = server.folder / ("long" * 40)
    temporary.mkdir()
    server.environment["TMPDIR"] = str(temporary)
    server.drop("cars", "lm(dist ~ speed, cars)")
    server.start()
    assert server.score("cars", {"rows": [{"speed": 10}]}).status_code == 200
    assert server.stop() == 0
    assert list(temporary.iterdir()) == []
