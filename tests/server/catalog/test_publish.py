"""Archives of model versions: unpacked whole, or nothing of them is there."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from server.catalog import publish as module
from server.catalog.publish import AlreadyThere, BadArchive, NoRoom, publish, remove


def archive(*members: tarfile.TarInfo | tuple[str, bytes]) -> io.BytesIO:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for member in members:
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
            else:
                tar.addfile(member)
    written.seek(0)
    return written


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "/etc/passwd"
    return member


def listed(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_version_appears_with_all_its_files_and_goes_again(tmp_path: Path) -> None:
    given = archive(("score.py", b"x"), ("model/m.pkl", b"y"))
    place = publish(given, tmp_path, "cars-blue", "1")
    assert listed(place) == {"score.py", "model/m.pkl", ".published"}
    with pytest.raises(AlreadyThere):
        publish(archive(("score.py", b"other")), tmp_path, "cars-blue", "1")
    assert (place / "score.py").read_bytes() == b"x"
    compressed = io.BytesIO(gzip.compress(archive(("score.py", b"z")).getvalue()))
    assert listed(publish(compressed, tmp_path, "cars-blue", "2")) == {"score.py", ".published"}
    assert remove(tmp_path, "cars-blue", "1") and not remove(tmp_path, "cars-blue", "1")
    assert listed(tmp_path) == {"cars-blue/2/score.py", "cars-blue/2/.published"}


def test_a_link_in_a_models_place_is_not_followed(tmp_path: Path) -> None:
    """Regression: an archive was unpacked wherever a link of the model's name led to, and removed there, too."""
    folder, outside = tmp_path / "models", tmp_path / "outside"
    folder.mkdir()
    publish(archive(("score.py", b"x")), tmp_path, "outside", "1")
    (folder / "cars").symlink_to(outside)
    with pytest.raises(NoRoom):
        publish(archive(("score.py", b"x")), folder, "cars", "2")
    assert not remove(folder, "cars", "1")
    assert listed(outside) == {"1/score.py", "1/.published"}
    assert sorted(path.name for path in folder.iterdir()) == ["cars"]


def test_only_what_came_as_an_archive_is_removed(tmp_path: Path) -> None:
    (tmp_path / "mine" / "1").mkdir(parents=True)
    assert not remove(tmp_path, "mine", "1")
    assert not remove(tmp_path, "..", "mine")
    assert (tmp_path / "mine" / "1").is_dir()


@pytest.mark.parametrize(
    "given",
    [
        archive(("../score.py", b"x")),
        archive(("/score.py", b"x")),
        archive(("a/../../b", b"x")),
        archive(("a\\b", b"x")),
        archive(special("score.py", tarfile.SYMTYPE)),
        archive(special("score.py", tarfile.LNKTYPE)),
        archive(special("score.py", tarfile.CHRTYPE)),
        archive(special("score.py", tarfile.FIFOTYPE)),
        archive(("score.py", b"x"), special("later", tarfile.SYMTYPE)),
        archive(),
        io.BytesIO(b""),
        io.BytesIO(b"no archive"),
        io.BytesIO(archive(("score.py", b"x" * 5000)).getvalue()[:2000]),
        io.BytesIO(gzip.compress(archive(("score.py", bytes(range(256)) * 99)).getvalue())[:200]),
    ],
)
def test_an_archive_that_will_not_do_leaves_nothing(tmp_path: Path, given: io.BytesIO) -> None:
    given.seek(0)
    with pytest.raises(BadArchive):
        publish(given, tmp_path, "m", "1")
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_swells_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    bomb = io.BytesIO(gzip.compress(archive(("score.py", bytes(2 << 20))).getvalue()))
    assert len(bomb.getvalue()) < 10_000
    with pytest.raises(BadArchive, match="holds more"):
        publish(bomb, tmp_path, "m", "1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["..", ".x", "a/b", "", "x" * 101])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    for model, version in ((name, "1"), ("m", name)):
        with pytest.raises(BadArchive):
            publish(archive(("score.py", b"x")), tmp_path, model, version)
