"""Opening what lies in a model folder: links are followed inside of it and never out of it, whatever they lead to."""

from __future__ import annotations

import ast
import os
import threading
from pathlib import Path

import pytest

from server import catalog
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
    assert beneath.is_there(folder / "link", folder)
    assert beneath.listed(folder, folder)[-1] == ("link", "link")
    for read in (content, beneath.status, beneath.names, beneath.listed, beneath.folders):
        with pytest.raises(Unopened, match="leads out of the model folder"):
            read(folder / "link", folder)


def test_nor_is_what_lies_in_a_folder_that_is_a_link_out(folder: Path) -> None:
    (folder / "link").symlink_to("../elsewhere")
    with pytest.raises(Unopened):
        content(folder / "link" / "file", folder)
    with pytest.raises(Unopened):
        beneath.names(folder / "link", folder)
    with pytest.raises(Unopened):
        beneath.status(folder / "link" / "file", folder)
    assert beneath.kind(folder / "link" / "file", folder) == "out"
    assert beneath.folders(folder, folder) == []


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


ASKING = {
    *("is_file", "is_dir", "exists", "stat", "lstat", "open", "read_bytes", "read_text", "resolve", "iterdir"),
    *("glob", "rglob", "walk", "scandir", "listdir"),
}
BY_NAME = {
    ("beneath.py", "status"): "a thing of the folder itself, which is not followed",
    ("files.py", "candidate_at"): "the path that an operator gave",
    ("listing.py", "_rank"): "a thing of the folder itself, which is not followed",
    ("parts.py", "_status"): "a link, which is not followed",
    ("private_copy.py", "_copy"): "a file of our own",
    ("publish.py", "_of_model"): "a model's own folder, and a link in its place is not followed",
    ("publish.py", "_unpack"): "a folder of our own, which nobody else can write to",
    ("publish.py", "publish"): "what _of_model has opened",
    ("signatures.py", "_examined"): "our own copy",
    ("signatures.py", "_key_named_in"): "our own copy",
    ("signatures.py", "_password"): "a file that whoever signs names",
    ("signatures.py", "_public_key"): "a file that a setting names",
    ("signatures.py", "_public_keys"): "a file or folder that a setting names",
    ("signatures.py", "sign"): "the path that whoever signs gave",
    ("unserved.py", "_refused"): "a thing of the folder, which is not followed",
    ("unserved.py", "_written"): "a thing of the folder, which is not followed",
    ("watch.py", "_with_inner"): "a model folder itself",
    ("watch.py", "_on_network"): "a model folder itself",
}
"""Where something is asked of a path, and why no link can lead out there."""


def test_nothing_else_in_the_catalog_asks_what_a_path_leads_to() -> None:
    asking = set()
    for module in Path(catalog.__file__).parent.glob("*.py"):
        for function in ast.walk(ast.parse(module.read_text())):
            if isinstance(function, ast.FunctionDef) and _asks(function):
                asking.add((module.name, function.name))
    others = {one for one in asking - BY_NAME.keys() if one[0] != "beneath.py"}
    assert others == set()
    assert BY_NAME.keys() - asking == set()


def _asks(function: ast.FunctionDef) -> bool:
    """Whether it calls a method of a path, or of `os`, that goes by the name; `beneath` has some of the same name."""
    for call in ast.walk(function):
        match call:
            case ast.Call(ast.Name("open")):
                return True
            case ast.Call(ast.Attribute(ast.Name("beneath"))):
                continue
            case ast.Call(ast.Attribute(_, name)) if name in ASKING:
                return True
    return False


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
