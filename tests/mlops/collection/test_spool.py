"""The spool: what was received is counted and kept once, however often the recorder is killed."""

from __future__ import annotations

import stat
from io import FileIO
from pathlib import Path

import pytest

from mlops.collection.spool import CHECK, Spool
from mlops.collection.spool import frames as frames_of
from server.wire.collect import HEAD, CollectError, Kind, request_of
from tests.mlops.collection.copies import copied, described, frames

ABOUT = described()
PLENTY = 1 << 20


def kill(spool: Spool) -> None:
    """Leave a spool as a recorder that is killed does."""
    if spool._file is not None:
        spool._file.close()


def ids(spool: Spool) -> list[str]:
    """The requests in the sealed segments."""
    found = [one for path in spool.sealed for one in frames_of(path)]
    return [request_of(data[HEAD.size :]).request_id.decode() for kind, data in found if kind is Kind.REQUEST]


def test_what_was_put_is_there_after_a_restart_and_half_of_a_frame_is_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    assert spool.put(frames(ABOUT, *(copied(ABOUT, f"{n}") for n in range(3))))
    kill(spool)
    [path] = tmp_path.glob("*.open")
    whole = path.read_bytes()
    last = len(whole) - (CHECK + len(frames(ABOUT, copied(ABOUT, "2"))[1][1]))
    for size in range(last, len(whole)):
        path.write_bytes(whole[:size])
        for old in tmp_path.glob("*.spool"):
            old.unlink()
        again = Spool(tmp_path, PLENTY)
        assert ids(again) == ["0", "1"]
        assert again.counts() == {"m": {"received": 2}}
        [path] = tmp_path.glob("*.spool")
        path = path.rename(path.with_suffix(".open"))


def test_nothing_is_open_to_others(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "recordings", PLENTY)
    spool.put(frames(ABOUT, copied(ABOUT, "a")))
    assert stat.S_IMODE((tmp_path / "recordings").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "recordings").iterdir()} == {0o600}
    kill(spool)


def test_each_segment_says_what_its_models_are(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    first, *request = frames(ABOUT, copied(ABOUT, "a"))
    spool.put([first])
    for _ in range(2):
        spool.put(request)
        spool.seal()
    kinds = [[kind for kind, _ in frames_of(path)] for path in spool.sealed]
    assert kinds == [[Kind.DESCRIPTION, Kind.REQUEST]] * 2


def test_a_segment_that_is_done_is_counted_once_wherever_its_end_is_cut_off(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    spool.put(frames(ABOUT, copied(ABOUT, "a"), copied(ABOUT, "b")))
    spool.seal()
    [path] = spool.sealed
    kept = path.read_bytes()
    spool.done(path, {"m": {"kept": 1, "undecodable": 1}})  # type: ignore[dict-item]
    assert spool.counts()["m"] == {"received": 2, "kept": 1, "undecodable": 1}
    path.write_bytes(kept)  # as if the recorder had been killed before it was removed
    again = Spool(tmp_path, PLENTY)
    assert not path.exists()
    assert again.counts()["m"] == {"received": 2, "kept": 1, "undecodable": 1}
    again.put(frames(ABOUT, copied(ABOUT, "c")))
    again.seal()
    assert again.sealed[0].stem > path.stem
    assert again.ledger.server == spool.ledger.server


def test_what_finds_the_spool_full_is_counted_and_the_rest_stays_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 3000)
    taken = [spool.put(frames(ABOUT, copied(ABOUT, f"{n}"))) for n in range(30)]
    assert any(taken) and not all(taken)
    counts = spool.counts()["m"]
    assert (counts["received"], counts["spool_full"]) == (30, taken.count(False))
    assert spool.bytes <= 3000
    spool.seal()
    assert len(ids(spool)) == sum(taken)


def test_a_disk_that_is_full_leaves_whole_frames(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    spool.put(frames(ABOUT, copied(ABOUT, "a")))
    assert spool._file is not None
    path = next(tmp_path.glob("*.open"))
    kill(spool)
    spool._file = Full(path, "r+b")
    spool._file.seek(0, 2)
    assert not spool.put(frames(ABOUT, copied(ABOUT, "b")))
    assert spool.counts()["m"] == {"received": 2, "spool_full": 1}
    kill(spool)
    assert ids(Spool(tmp_path, PLENTY)) == ["a"]


class Full(FileIO):
    """A file on a disk that has place for ten bytes more."""

    def write(self, data: bytes) -> int:
        return super().write(data[:10])


def test_a_copy_of_nothing_that_was_described_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CollectError):
        Spool(tmp_path, PLENTY).put(frames(ABOUT, copied(ABOUT, "a"))[1:])
