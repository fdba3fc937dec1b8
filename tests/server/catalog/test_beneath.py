"""Opening what lies in a model folder: links are followed inside of it and never out of it, whatever they lead to."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from server.catalog import beneath
from server.catalog.beneath import Unopened

SECRET = b"secret"
PROC = "/proc/self/status"
"""A regular file, as its status says, of no bytes, which holds many."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(SECRET)
    return tmp_path / "models"


def content(path: Path, folder: Path) -> bytes:
    return b"".join(beneath.pieces(path, folder))


def test_a_file_of_the_folder_is_read_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beneath, "CHUNK_BYTES", 3)
    (folder / "a").write_bytes(b"12345678")
    assert content(folder / "a", folder) == b"12345678"


@pytest.mark.parametrize("target", ["store/a", "{folder}/store/a", "../models/store/a", "..data/a"])
def test_a_link_inside_of_the_folder_is_followed(folder: Path, target: str) -> None:
    (folder / "store").mkdir()
    (folder / "store" / "a").write_bytes(b"model")
    (folder / "..data").symlink_to("store")
    (folder / "link").symlink_to(target.format(folder=folder))
    assert beneath.kind(folder / "link", folder) == "file"
    assert content(folder / "link", folder) == b"model"


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (folder / "a").write_bytes(b"model")
    (folder / "link").symlink_to("a")
    (tmp_path / "mount").symlink_to(folder)
    mount = tmp_path / "mount"
    assert content(mount / "link", mount) == b"model"
    assert beneath.names(mount, mount) == ["a", "link"]


@pytest.mark.parametrize("target", ["../secret", "{tmp}/secret", "hop", "../elsewhere/file", "../models-2/file", PROC])
def test_what_a_link_leads_to_outside_of_the_folder_is_not_opened(folder: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "models-2").mkdir()
    (tmp_path / "models-2" / "file").write_bytes(SECRET)
    (folder / "hop").symlink_to("../secret")
    (folder / "link").symlink_to(target.format(tmp=tmp_path))
    assert beneath.kind(folder / "link", folder) == "out"
    for read in (content, beneath.status, beneath.names):
        with pytest.raises(Unopened, match="leads out of the model folder"):
            read(folder / "link", folder)


def test_nor_is_what_lies_in_a_folder_that_is_a_link_out(folder: Path) -> None:
    (folder / "link").symlink_to("../elsewhere")
    with pytest.raises(Unopened):
        content(folder / "link" / "file", folder)
    with pytest.raises(Unopened):
        beneath.names(folder / "link", folder)


def test_what_is_no_file_is_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("pipe")
    (folder / "loop").symlink_to("loop")
    for name in ("pipe", "link"):
        assert beneath.kind(folder / name, folder) == "other"
        with pytest.raises(Unopened, match="not a file"):
            content(folder / name, folder)
    assert beneath.kind(folder / "loop", folder) == "nothing"
    assert beneath.kind(folder / "nowhere", folder) == "nothing"


def test_no_more_is_read_than_a_files_size_says() -> None:
    """Files of /proc say that they are empty, and some have no end. One may be mounted into a model folder."""
    with Path(PROC).open("rb", buffering=0) as file, pytest.raises(Unopened, match="more than its size says"):
        list(beneath.pieces_of(file.fileno(), "status"))


def test_a_file_that_is_being_written_is_no_strange_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beneath, "CHUNK_BYTES", 4)
    (folder / "a").write_bytes(b"12345678")
    reading = beneath.pieces(folder / "a", folder)
    next(reading)
    with (folder / "a").open("ab") as file:
        file.write(b"more")
    with pytest.raises(OSError, match="being written") as error:
        list(reading)
    assert not isinstance(error.value, Unopened)


def test_a_link_that_is_swapped_meanwhile_never_shows_what_lies_outside(folder: Path) -> None:
    (folder / "inside").write_bytes(b"model")
    stop = threading.Event()

    def swap() -> None:
        targets = ("inside", "../secret")
        turn = 0
        while not stop.is_set():
            (folder / "new").symlink_to(targets[turn % 2])
            (folder / "new").rename(folder / "link")
            turn += 1

    (folder / "link").symlink_to("inside")
    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        for _ in range(1000):
            try:
                seen.add(content(folder / "link", folder))
            except Unopened:
                seen.add(b"refused")
    finally:
        stop.set()
        swapping.join()
    assert seen == {b"model", b"refused"}
