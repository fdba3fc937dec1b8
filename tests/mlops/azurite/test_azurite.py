"""The registry in a bucket of Azure: the same rules as in a folder, held by the service itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.objects import Objects, StoreUnavailable
from mlops.registry.installation import Installation
from mlops.registry.registry import CHAMPION, Registry
from tests.mlops.azurite.conftest import Azurite
from tests.mlops.registering import register, said, started

pytestmark = pytest.mark.ship


def test_a_version_is_registered_named_installed_and_deleted(store: str, tmp_path: Path) -> None:
    registry = Registry(Objects(store))
    version, _ = register(registry, "m", b"x", run="1")
    registry.move("m", CHAMPION, 1, seen=0)
    installation = Installation(tmp_path)
    installation.prepare()
    place = installation.install(Registry(Objects(store)), registry.resolve("m@champion"))
    assert (place / "model.rds").read_bytes() == b"x"
    register(registry, "m", b"y")
    registry.move("m", CHAMPION, 2, seen=1)
    registry.delete("m", version.number)
    assert [one.deleted for one in Registry(Objects(store)).versions("m")] == [True, False]
    assert registry.models() == ["m"]


def test_many_that_register_at_once_leave_no_hole_and_no_number_twice(store: str) -> None:
    lines = said([started(store, "m", "runs", 5 * n, 5) for n in range(4)])
    assert sorted(int(line.split()[0]) for line in lines) == list(range(1, 21))
    assert [version.number for version in Registry(Objects(store)).versions("m")] == list(range(1, 21))


def test_the_same_bytes_from_many_at_once_are_one_version(store: str) -> None:
    lines = said([started(store, "m", "same", 0, 3) for _ in range(4)])
    assert sorted(lines) == ["1 False"] * 11 + ["1 True"]


def test_of_many_that_move_an_alias_at_one_revision_one_does(store: str) -> None:
    register(Registry(Objects(store)), "m", b"x")
    Registry(Objects(store)).move("m", CHAMPION, 1, seen=0)
    lines = said([started(store, "m", "move", 1, 1) for _ in range(6)])
    assert sorted(lines) == ["2"] + ["stale_alias"] * 5


def test_a_container_that_is_not_there_is_no_empty_store(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in azurite.environment.items():
        monkeypatch.setenv(name, value)
    objects = Objects("az://nothere/team")
    for ask in (lambda: objects.read("a"), lambda: objects.names("a"), lambda: objects.create("a", b"")):
        with pytest.raises(StoreUnavailable, match="nothere"):
            ask()
