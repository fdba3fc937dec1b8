"""The watch over real folders: what is told, and when."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from server.catalog import watch
from server.catalog.files import R_FILES, ModelFile
from server.catalog.watch import Watch
from tests.harness.tandem import eventually

SETTLE_S = 0.1
LONG_AGO = 1_000_000_000.0


class Watching:
    """A watch in a thread of its own, and the lists it has told so far."""

    def __init__(self, folder: Path, settle_s: float, limit: int = 1000, serving: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._watch = Watch({folder: R_FILES}, settle_s, limit=limit, serving=lambda: serving)
        self.whole: list[bool] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._task: asyncio.Task[None] | None = None
        self.told: list[list[ModelFile]] = []

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._follow())

    async def _follow(self) -> None:
        self._task = asyncio.current_task()
        changes = self._watch.changes()
        try:
            async for files in changes:
                self.told.append(files)
                self.whole.append(self._watch.whole)
        except asyncio.CancelledError:
            await changes.aclose()  # type: ignore[attr-defined]

    def start(self) -> Watching:
        self._thread.start()
        return self

    def stop(self) -> None:
        assert self._task is not None
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    @property
    def now(self) -> dict[str, ModelFile]:
        """What was told last, by name and version folder."""
        return {f"{f.name}/{f.version}" if f.in_version_folder else f.name: f for f in self.told[-1]}

    def hurry(self) -> None:
        """As if time had passed: the next portion is as large as one likes."""
        self._watch.portion_s = 60.0

    def names(self) -> list[str]:
        return sorted(self.now) if self.told else ["nothing was told"]

    def listened_to(self) -> list[str]:
        return [str(path.relative_to(self._folder)).strip(".") for path in self._watch.listened_to]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "models"
    made.mkdir()
    return made


@pytest.fixture
def watching(folder: Path) -> Iterator[Watching]:
    started = Watching(folder, SETTLE_S).start()
    eventually(lambda: started.told)
    yield started
    started.stop()


def test_an_empty_folder_is_told_once(watching: Watching) -> None:
    assert watching.told == [[]]


def test_a_new_file_is_told_once_it_has_settled(folder: Path, watching: Watching) -> None:
    (folder / "mpg.rds").write_bytes(b"one")
    eventually(lambda: watching.names() == ["mpg"])
    assert len(watching.told) == 2


def test_a_replaced_file_is_another_version(folder: Path, watching: Watching) -> None:
    (folder / "mpg.rds").write_bytes(b"one")
    eventually(lambda: watching.names() == ["mpg"])
    before = watching.now["mpg"]
    (folder / "new").write_bytes(b"two")
    (folder / "new").rename(folder / "mpg.rds")
    eventually(lambda: watching.now["mpg"].version != before.version)
    assert len(watching.told) == 3


def test_a_file_written_again_with_the_same_bytes_and_time_is_no_change(folder: Path, watching: Watching) -> None:
    for name in ("mpg.rds", "new.tmp"):
        (folder / name).write_bytes(b"one")
        os.utime(folder / name, (LONG_AGO, LONG_AGO))
    eventually(lambda: watching.names() == ["mpg"])
    (folder / "new.tmp").rename(folder / "mpg.rds")
    (folder / "am.rds").write_bytes(b"am")
    eventually(lambda: watching.names() == ["am", "mpg"])
    assert watching.told[-1][1] == watching.told[1][0]


def test_a_deleted_file_is_told(folder: Path, watching: Watching) -> None:
    (folder / "mpg.rds").write_bytes(b"one")
    eventually(lambda: watching.names() == ["mpg"])
    (folder / "mpg.rds").unlink()
    eventually(lambda: watching.names() == [])


def test_a_new_or_changed_sidecar_changes_the_key_and_keeps_the_version(folder: Path, watching: Watching) -> None:
    (folder / "mpg.rds").write_bytes(b"one")
    eventually(lambda: watching.names() == ["mpg"])
    keys = {watching.now["mpg"].model_key}
    for text in ("description: x", "description: xy"):
        (folder / "mpg.yaml").write_text(text)
        eventually(lambda: watching.now["mpg"].model_key not in keys)
        keys.add(watching.now["mpg"].model_key)
    assert len({files[0].version for files in watching.told if files}) == 1


def test_version_folders_are_told(folder: Path, watching: Watching) -> None:
    for version in ("1.9", "1.10"):
        (folder / "boston" / version).mkdir(parents=True)
        (folder / "boston" / version / "model.rds").write_bytes(b"boston")
    eventually(lambda: watching.names() == ["boston/1.10", "boston/1.9"])


def test_a_pipe_with_a_models_name_is_never_opened_and_told_as_not_served(folder: Path, watching: Watching) -> None:
    os.mkfifo(folder / "pipe.rds")
    os.mkfifo(folder / "mpg.yaml")
    (folder / "mpg.rds").write_bytes(b"one")
    eventually(lambda: watching.names() == ["mpg"])
    eventually(lambda: watching.names() == ["mpg", "pipe"])
    refused = watching.now["pipe"].refused
    assert refused is not None
    assert "pipe" in refused.reason


def test_a_link_to_a_file_that_has_no_end_stops_neither_the_watch_nor_its_stop(
    folder: Path, watching: Watching
) -> None:
    (folder / "log.rds").symlink_to("/proc/kmsg")
    (folder / "mpg.yaml").symlink_to("/proc/kmsg")
    (folder / "mpg.rds").write_bytes(b"one")
    (folder / "am.rds").write_bytes(b"am")
    eventually(lambda: watching.names() == ["am", "log", "mpg"])
    for name in ("log", "mpg"):
        refused = watching.now[name].refused
        assert refused is not None
        assert "leads out of the model folder" in refused.reason
    (folder / "mpg.yaml").unlink()
    eventually(lambda: watching.now["mpg"].refused is None)


def test_a_link_to_the_whole_disk_is_not_listened_to(folder: Path, watching: Watching) -> None:
    (folder / "all").symlink_to("/")
    (folder / "mpg" / "1").mkdir(parents=True)
    (folder / "mpg" / "1" / "model.rds").write_bytes(b"one")
    eventually(lambda: watching.names() == ["all", "mpg/1"])
    assert watching.listened_to() == ["", "mpg", "mpg/1"]


def test_a_new_volume_of_a_kubernetes_mount_is_another_version(folder: Path, watching: Watching) -> None:
    for volume in ("..1", "..2"):
        (folder / volume).mkdir()
        (folder / volume / "mpg.rds").write_bytes(volume.encode())
    (folder / "..data").symlink_to("..1")
    (folder / "mpg.rds").symlink_to("..data/mpg.rds")
    eventually(lambda: watching.names() == ["mpg"])
    before = watching.now["mpg"].version
    (folder / "..new").symlink_to("..2")
    (folder / "..new").rename(folder / "..data")
    eventually(lambda: watching.now["mpg"].version != before)


def test_the_rest_of_too_many_files_is_told_in_one_line_and_what_serves_stays(folder: Path) -> None:
    for n in range(20):
        (folder / f"m{n}.rds").write_bytes(b"x")
        os.utime(folder / f"m{n}.rds", (LONG_AGO + n, LONG_AGO + n))
    crowded = Watching(folder, SETTLE_S, limit=3, serving=[folder / "m19.rds"]).start()
    try:
        eventually(lambda: crowded.names() == ["m0", "m1", "m19", "models"])
        refused = crowded.now["models"].refused
        assert refused is not None
        assert "TANDEM_MAX_MODELS" in refused.reason
    finally:
        crowded.stop()


def test_another_look_holds_no_second_copy_of_what_is_as_it_was(folder: Path) -> None:
    """Regression: of 10,000 files that are no models it held 10 MB more after a second look."""
    for name in ("a.rds", "b.h5", "c.h5"):
        (folder / name).write_bytes(b"model")
        os.utime(folder / name, (LONG_AGO, LONG_AGO))

    async def scene() -> None:
        watched = Watch({folder: R_FILES}, SETTLE_S)
        for _ in range(2):
            await watched._look()
        held = watched._identified[folder]
        settling = watched._settling[folder]._since
        assert [id(path) for path in settling] == [id(candidate.path) for candidate, _ in held.values()]
        assert len({id(candidate.refused) for candidate, _ in held.values() if candidate.refused}) == 1

    asyncio.run(scene())


def test_what_could_be_read_quickly_is_told_before_the_rest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PORTION_S", -1.0)
    for n in range(3):
        (folder / f"m{n}.rds").write_bytes(b"x")
        os.utime(folder / f"m{n}.rds", (LONG_AGO, LONG_AGO))
    started = Watching(folder, SETTLE_S).start()
    try:
        eventually(lambda: started.told)
        assert (started.told[0], started.whole[0]) == ([], False)
        started.hurry()
        eventually(lambda: started.names() == ["m0", "m1", "m2"])
        assert started.whole[-1]
    finally:
        started.stop()


def test_what_is_no_model_is_told_once_it_has_lain_for_a_while(folder: Path, watching: Watching) -> None:
    """Somebody may be about to rename it."""
    (folder / "upload").write_bytes(b"half")
    (folder / "mpg.rds").write_bytes(b"one")
    eventually(lambda: watching.names() == ["mpg"])
    (folder / "upload").rename(folder / "am.rds")
    (folder / "old.h5").write_bytes(b"keras")
    os.utime(folder / "old.h5", (LONG_AGO, LONG_AGO))
    eventually(lambda: watching.names() == ["am", "mpg", "old"])
    assert all(file.name != "upload" for told in watching.told for file in told)
    refused = watching.now["old"].refused
    assert refused is not None
    assert (refused.code, "ONNX" in refused.reason) == ("not_served", True)


def test_what_is_no_model_does_not_keep_the_first_list_waiting(folder: Path) -> None:
    (folder / "new.h5").write_bytes(b"keras")
    started = Watching(folder, SETTLE_S).start()
    try:
        eventually(lambda: started.told)
        assert started.told[0] == []
        eventually(lambda: started.names() == ["new"])
    finally:
        started.stop()


def test_a_file_being_rewritten_keeps_its_model_until_it_has_settled(folder: Path) -> None:
    """A model that serves must not go because its successor is still being copied."""
    model = folder / "mpg.rds"
    model.write_bytes(b"old")
    os.utime(model, (LONG_AGO, LONG_AGO))
    slow = Watching(folder, settle_s=60.0).start()
    try:
        eventually(lambda: slow.names() == ["mpg"])
        before = slow.now["mpg"]
        model.write_bytes(b"new, and not whole ye")
        (folder / "am.rds").write_bytes(b"am")
        os.utime(folder / "am.rds", (LONG_AGO, LONG_AGO))
        eventually(lambda: slow.names() == ["am", "mpg"])
        assert slow.now["mpg"] == before
    finally:
        slow.stop()


def test_files_that_are_still_being_written_do_not_keep_the_first_list_waiting_for_ever(folder: Path) -> None:
    (folder / "settled.rds").write_bytes(b"x")
    os.utime(folder / "settled.rds", (LONG_AGO, LONG_AGO))
    (folder / "fresh.rds").write_bytes(b"x")
    impatient = Watching(folder, settle_s=2 * watch.FIRST_LOOK_S).start()
    try:
        eventually(lambda: impatient.names() == ["settled"])
    finally:
        impatient.stop()


def test_a_folder_that_does_not_exist_yet_has_no_models(tmp_path: Path) -> None:
    absent = Watching(tmp_path / "nowhere", SETTLE_S).start()
    try:
        eventually(lambda: absent.told)
        assert absent.told == [[]]
    finally:
        absent.stop()
