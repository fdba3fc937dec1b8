"""Versions, aliases and what the registry refuses; in a folder, which tells apart as a bucket does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlops.objects import Objects
from mlops.registry.errors import RegistryError
from mlops.registry.installation import Installation
from mlops.registry.record import File, Record
from mlops.registry.registry import CHAMPION, Registry, blob
from tests.mlops.registering import register


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(Objects(tmp_path / "store"))


def refused(act: object, *arguments: object, **named: object) -> str:
    """The code with which the registry refuses."""
    with pytest.raises(RegistryError) as caught:
        act(*arguments, **named)  # type: ignore[operator]
    return caught.value.code


def test_versions_are_numbered_from_one_and_each_keeps_its_bytes(registry: Registry) -> None:
    made = [register(registry, "diabetes", f"content {n}".encode())[0] for n in range(3)]
    assert [version.number for version in made] == [1, 2, 3]
    assert [version.number for version in registry.versions("diabetes")] == [1, 2, 3]
    content = [b"".join(registry.objects.pieces(blob(version.record.files[0]))) for version in made]
    assert content == [b"content 0", b"content 1", b"content 2"]


def test_models_are_numbered_apart_and_share_bytes(registry: Registry) -> None:
    assert register(registry, "a", b"x")[0].number == register(registry, "b", b"x")[0].number == 1
    assert registry.models() == ["a", "b"]
    assert len(registry.objects.names("blobs")) == 1


def test_the_same_run_and_bytes_again_are_the_version_that_there_is(registry: Registry) -> None:
    first, new = register(registry, "m", b"x", run="1")
    again, new_again = register(registry, "m", b"x", run="1")
    assert (first.number, new, again.number, new_again) == (1, True, 1, False)


def test_the_same_bytes_of_another_run_are_refused_with_the_version_that_has_them(registry: Registry) -> None:
    register(registry, "m", b"x", run="1")
    with pytest.raises(RegistryError, match="version 1 already, by run 1") as caught:
        register(registry, "m", b"x", run="2")
    assert caught.value.code == "duplicate_version"
    assert refused(register, registry, "m", b"x") == "duplicate_version"
    assert register(registry, "m", b"y", run="2")[0].number == 2, "the run that was refused may register other bytes"


def test_other_bytes_of_the_same_run_are_refused(registry: Registry) -> None:
    register(registry, "m", b"x", run="1")
    assert refused(register, registry, "m", b"y", run="1") == "duplicate_run"
    assert [version.number for version in registry.versions("m")] == [1]


def test_another_reader_sees_what_was_registered(registry: Registry) -> None:
    register(registry, "m", b"x", run="1")
    other = Registry(Objects(registry.objects.address))
    assert other.versions("m") == registry.versions("m")
    assert other.resolve("m:1").record.run == "1"


def test_an_alias_moves_by_the_revision_that_was_seen(registry: Registry) -> None:
    for content in (b"x", b"y"):
        register(registry, "m", content)
    assert registry.move("m", CHAMPION, 1, seen=0, who="ann", why="the first").revision == 1
    moved = registry.move("m", CHAMPION, 2, seen=1)
    assert (moved.version, moved.was, moved.revision) == (2, 1, 2)
    assert [one.version for one in registry.history("m", CHAMPION)] == [1, 2]
    assert registry.resolve("m@champion").number == registry.resolve("azureml:m@champion").number == 2


@pytest.mark.parametrize("seen", [0, 2, 9])
def test_an_alias_that_has_moved_meanwhile_stays(registry: Registry, seen: int) -> None:
    register(registry, "m", b"x")
    registry.move("m", CHAMPION, 1, seen=0)
    assert refused(registry.move, "m", CHAMPION, 1, seen=seen) == "stale_alias"
    assert registry.alias("m", CHAMPION).revision == 1


def test_an_alias_that_is_not_there_has_no_revision_to_move_from(registry: Registry) -> None:
    register(registry, "m", b"x")
    assert refused(registry.move, "m", CHAMPION, 1, seen=1) == "stale_alias"


def test_what_is_not_there_is_said_by_name(registry: Registry) -> None:
    assert refused(registry.versions, "m") == "unknown_model"
    register(registry, "m", b"x")
    assert refused(registry.version, "m", 2) == "unknown_version"
    assert refused(registry.resolve, "m@challenger") == "unknown_alias"
    assert refused(registry.move, "m", CHAMPION, 2, seen=0) == "unknown_version"


@pytest.mark.parametrize(
    "text", ["m", "m:", "m@", "m:0", "m:x", "m:1:2", "m@a@b", "../m:1", "m@Champion", ":1", "m:1\n2"]
)
def test_what_names_no_version_is_refused(registry: Registry, text: str) -> None:
    assert refused(registry.resolve, text) == "bad_reference"


@pytest.mark.parametrize("model", ["", "..", "a/b", "a b", "é", "a" * 101, "a\n"])
def test_what_can_be_no_models_name_is_refused(registry: Registry, model: str) -> None:
    assert refused(register, registry, model, b"x") == "bad_reference"
    assert registry.models() == []


def test_a_deleted_version_loses_its_bytes_and_keeps_its_number(registry: Registry, tmp_path: Path) -> None:
    version, _ = register(registry, "m", b"x")
    register(registry, "m", b"y")
    registry.delete("m", 1, "ann")
    assert [(one.number, one.deleted) for one in registry.versions("m")] == [(1, True), (2, False)]
    assert registry.objects.read(blob(version.record.files[0])) is None
    assert refused(registry.resolve, "m:1") == "unknown_version"
    assert refused(registry.move, "m", CHAMPION, 1, seen=0) == "unknown_version"
    assert register(registry, "m", b"z")[0].number == 3
    assert refused(register, registry, "m", b"x") == "duplicate_version"


def test_bytes_that_another_version_has_too_stay(registry: Registry) -> None:
    version, _ = register(registry, "a", b"x")
    register(registry, "b", b"x")
    registry.delete("a", 1)
    assert registry.objects.read(blob(version.record.files[0])) == b"x"


def test_a_version_that_something_names_is_not_deleted(registry: Registry) -> None:
    register(registry, "m", b"x")
    registry.move("m", CHAMPION, 1, seen=0)
    assert refused(registry.delete, "m", 1) == "in_use"
    register(registry, "m", b"y")
    registry.move("m", CHAMPION, 2, seen=1)
    assert refused(registry.delete, "m", 1, used_by=["deployment blue"]) == "in_use"
    assert not registry.version("m", 1).deleted
    registry.delete("m", 1)


def test_a_record_without_a_number_is_numbered_by_who_looks_next(registry: Registry) -> None:
    register(registry, "m", b"x")
    left = Record("m", (File("model.rds", "0" * 64, 1),), "r")
    registry.objects.create(f"models/m/records/{left.digest}.json", left.to_json())
    assert [version.number for version in Registry(registry.objects).versions("m")] == [1, 2]
    assert registry.version("m", 2).record == left


def test_of_two_numbers_of_one_record_the_lower_counts(registry: Registry) -> None:
    version, _ = register(registry, "m", b"x")
    registry.objects.create("models/m/versions/00000002.json", f'{{"record": "{version.record.digest}"}}'.encode())
    register(registry, "m", b"y")
    assert [one.number for one in registry.versions("m")] == [1, 3]


def test_a_run_that_died_before_its_record_may_register_the_same_bytes(registry: Registry) -> None:
    version, _ = register(registry, "m", b"x", run="1")
    for path in ("records/" + version.record.digest, "versions/00000001"):
        registry.objects.remove(f"models/m/{path}.json")
    fresh = Registry(registry.objects)
    assert register(fresh, "m", b"x", run="1")[0].number == 1


def test_a_version_is_installed_whole_and_once(registry: Registry, tmp_path: Path) -> None:
    version, _ = register(registry, "m", b"x")
    installation = Installation(tmp_path / "installed")
    installation.prepare()
    place = installation.install(registry, version)
    assert place == tmp_path / "installed" / "r" / "m" / "1" == installation.install(registry, version)
    assert [(path.name, path.read_bytes()) for path in place.iterdir()] == [("model.rds", b"x")]
    assert installation.installed() == {("m", 1)}
    assert installation.keep([]) == {("m", 1)}
    assert list((tmp_path / "installed" / "r").iterdir()) == []


def test_bytes_that_have_changed_in_the_store_are_not_installed(registry: Registry, tmp_path: Path) -> None:
    version, _ = register(registry, "m", b"x")
    (tmp_path / "store" / blob(version.record.files[0])).write_bytes(b"z")
    installation = Installation(tmp_path / "installed")
    installation.prepare()
    assert refused(installation.install, registry, version) == "damaged_version"
    assert installation.installed() == set()
    registry.objects.remove(blob(version.record.files[0]))
    assert refused(installation.install, registry, version) == "damaged_version"


@pytest.mark.parametrize("name", ["../model.rds", "/etc/model.rds", "a/../../b", ""])
def test_a_name_that_leads_out_of_its_folder_is_not_installed(registry: Registry, tmp_path: Path, name: str) -> None:
    version, _ = register(registry, "m", b"x")
    odd = Record("odd", (replace(version.record.files[0], name=name),), "r")
    registry.objects.create(f"models/odd/records/{odd.digest}.json", odd.to_json())
    installation = Installation(tmp_path / "installed")
    installation.prepare()
    assert refused(installation.install, registry, registry.versions("odd")[0]) == "damaged_version"
    assert [path.name for path in (tmp_path / "installed").rglob("*.rds")] == []


def test_what_was_left_half_installed_goes_at_the_start(tmp_path: Path) -> None:
    left = tmp_path / "installed" / ".partial" / "x" / "model.rds"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    Installation(tmp_path / "installed").prepare()
    assert sorted(path.name for path in (tmp_path / "installed").iterdir()) == ["python", "r"]
