"""The models: what a pool knows of its model files, and which version answers when none is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from server.catalog.files import ModelFile
from server.catalog.sidecar import Sidecar
from server.pools.models import PoolModels, Proven, RefusedFile, catalog, version_order
from tests.server.pools.described import DESCRIPTION


def file(name: str = "mpg", version: str = "aa", in_folder: bool = False, key: str | None = None) -> ModelFile:
    path = Path("/models", name, version, "model.rds") if in_folder else Path(f"/models/{name}.rds")
    return ModelFile(
        runtime="r",
        name=name,
        version=version,
        model_key=key or f"{name}/{version}/{version}",
        path=path,
        sidecar=path.with_suffix(".yaml"),
        size_bytes=9,
        modified=1e9,
        in_version_folder=in_folder,
    )


def serve(models: PoolModels, *files: ModelFile) -> None:
    for one in files:
        models.serve(Proven(one, Sidecar(description="d", timeout_s=2.0), DESCRIPTION, 0.5))


def refuse(models: PoolModels, one: ModelFile) -> None:
    models.refuse(RefusedFile(one, "crashes", "it crashed"))


def look_at(models: PoolModels, one: ModelFile) -> None:
    models.loading[one.path] = one


def states(models: PoolModels) -> list[tuple[str, str, str]]:
    return [(e.name, e.version, e.state) for e in catalog(models.entries())]


def current(models: PoolModels) -> list[tuple[str, str]]:
    return [(e.name, e.version) for e in catalog(models.entries()) if e.current]


def test_a_file_is_unknown_until_it_is_looked_at_or_answered() -> None:
    models = PoolModels("r")
    files = [file("a"), file("b"), file("c"), file("d")]
    look_at(models, files[0])
    serve(models, files[1])
    refuse(models, files[2])
    assert models.unknown(files) == [files[3]]


def test_new_bytes_or_a_new_sidecar_make_a_file_unknown_again() -> None:
    models = PoolModels("r")
    serve(models, file(key="mpg/aa/1"))
    assert models.unknown([file(key="mpg/aa/2")]) == [file(key="mpg/aa/2")]


def test_the_old_model_serves_while_a_new_file_is_looked_at() -> None:
    models = PoolModels("r")
    serve(models, file(version="aa"))
    look_at(models, file(version="bb"))
    assert states(models) == [("mpg", "aa", "ready"), ("mpg", "bb", "loading")]


def test_the_old_model_serves_beside_the_refusal_of_the_new_one() -> None:
    models = PoolModels("r")
    serve(models, file(version="aa"))
    look_at(models, file(version="bb"))
    refuse(models, file(version="bb"))
    assert states(models) == [("mpg", "aa", "ready"), ("mpg", "bb", "failed")]
    assert models.loading == {}


def test_a_proven_file_takes_the_place_of_what_its_path_had() -> None:
    models = PoolModels("r")
    serve(models, file(version="aa"))
    refuse(models, file(version="bb"))
    look_at(models, file(version="cc"))
    serve(models, file(version="cc"))
    assert states(models) == [("mpg", "cc", "ready")]


def test_a_proven_file_changes_nothing_of_a_newer_one_that_was_seen_meanwhile() -> None:
    """Regression: the newer file was forgotten, and the one before served for ever."""
    models = PoolModels("r")
    serve(models, file(version="aa"))
    look_at(models, file(version="cc"))
    serve(models, file(version="bb"))
    assert states(models) == [("mpg", "bb", "ready"), ("mpg", "cc", "loading")]
    refuse(models, file(version="cc"))
    serve(models, file(version="bb"))
    assert states(models) == [("mpg", "bb", "ready"), ("mpg", "cc", "failed")]


def test_a_file_that_another_pool_serves_is_forgotten_and_no_other() -> None:
    models = PoolModels("r")
    serve(models, file("a"), file("b"))
    look_at(models, file("c"))
    refuse(models, file("d"))
    assert models.forget({file("a").path, file("x").path})
    assert not models.forget({file("a").path})
    assert [name for name, _, _ in states(models)] == ["b", "c", "d"]


def test_a_file_that_is_again_the_one_that_serves_clears_what_was_known_of_the_newer() -> None:
    models = PoolModels("r")
    serve(models, file(version="aa"))
    refuse(models, file(version="bb"))
    look_at(models, file(version="cc"))
    models.restored([file(version="aa")])
    assert states(models) == [("mpg", "aa", "ready")]


def test_a_file_that_is_still_new_restores_nothing() -> None:
    models = PoolModels("r")
    serve(models, file(version="aa"))
    look_at(models, file(version="bb"))
    models.restored([file(version="bb")])
    assert states(models) == [("mpg", "aa", "ready"), ("mpg", "bb", "loading")]


def test_what_has_gone_is_forgotten_and_told_only_if_it_served() -> None:
    models = PoolModels("r")
    serve(models, file("a"))
    refuse(models, file("b"))
    look_at(models, file("c"))
    assert not models.keep_only({file("a").path})
    assert states(models) == [("a", "aa", "ready")]
    assert models.keep_only(set())
    assert states(models) == []


def test_an_entry_tells_what_the_sidecar_and_the_probe_said() -> None:
    models = PoolModels("r")
    serve(models, file())
    [entry] = catalog(models.entries())
    assert (entry.description, entry.timeout_s, entry.load_seconds) == ("d", 2.0, 0.5)
    assert (entry.model_class, entry.rowwise, entry.current) == ("lm", True, True)
    assert (entry.file, entry.size_bytes, entry.model_key) == ("mpg.rds", 9, "mpg/aa/aa")


def test_a_refusal_tells_its_code_and_reason_and_is_never_current() -> None:
    models = PoolModels("r")
    refuse(models, file())
    [entry] = catalog(models.entries())
    assert (entry.state, entry.code, entry.reason, entry.current) == ("failed", "crashes", "it crashed", False)


def test_the_highest_version_folder_answers_requests_that_name_none() -> None:
    models = PoolModels("r")
    serve(models, *(file(version=v, in_folder=True) for v in ("1.9", "1.10", "1.2")))
    assert current(models) == [("mpg", "1.10")]
    assert [version for _, version, _ in states(models)] == ["1.2", "1.9", "1.10"]


def test_a_bare_file_goes_before_version_folders() -> None:
    models = PoolModels("r")
    serve(models, file(version="9", in_folder=True), file(version="aa"))
    assert current(models) == [("mpg", "aa")]


def test_of_two_bare_files_with_one_name_the_newer_answers() -> None:
    r, python = PoolModels("r"), PoolModels("python")
    serve(r, replace(file(version="ff"), modified=1e9))
    serve(python, replace(file(version="aa"), modified=2e9, path=Path("/models/mpg.joblib")))
    assert [e.pool for e in catalog(r.entries() + python.entries()) if e.current] == ["python"]


def test_every_model_has_one_current_version() -> None:
    models = PoolModels("r")
    serve(models, file("a", "1", True), file("a", "2", True), file("b"))
    assert current(models) == [("a", "2"), ("b", "aa")]


def test_a_version_that_only_loads_or_failed_is_not_current() -> None:
    models = PoolModels("r")
    serve(models, file(version="1", in_folder=True))
    look_at(models, file(version="2", in_folder=True))
    refuse(models, file(version="3", in_folder=True))
    assert current(models) == [("mpg", "1")]


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("1.9", "1.10"),
        ("9", "10"),
        ("v9", "v10"),
        ("2024-01-31", "2024-02-01"),
        ("1.0", "1.0.1"),
        ("a", "1"),
        ("beta", "v1"),
    ],
)
def test_versions_are_ordered_as_people_read_them(lower: str, higher: str) -> None:
    assert version_order(lower) < version_order(higher)
