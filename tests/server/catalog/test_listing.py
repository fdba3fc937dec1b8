"""What is looked at in a model folder where there is too much to look at."""

from __future__ import annotations

import os
from pathlib import Path

from server.catalog import unserved
from server.catalog.files import R_FILES, candidates
from server.catalog.listing import SMALLEST_BYTES, Listing

MODEL = b"x" * SMALLEST_BYTES


def write(path: Path, content: bytes = MODEL, modified: float = 1e9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (modified, modified))
    return path


def looked_at(listing: Listing) -> list[str]:
    found = candidates(listing.folder, R_FILES, listing)
    found += unserved.unserved(listing.folder, R_FILES, found, listing=listing)
    return sorted(str(one.path.relative_to(listing.folder)) for one in found)


def test_as_much_as_may_be_looked_at_is_no_more_than_that(tmp_path: Path) -> None:
    for name in ("a.rds", "b.rds", "c.weird"):
        write(tmp_path / name)
    listing = Listing(tmp_path, 3)
    assert looked_at(listing) == ["a.rds", "b.rds", "c.weird"]
    assert not listing.over


def test_of_more_the_oldest_are_looked_at_and_what_is_hardly_a_model_comes_last(tmp_path: Path) -> None:
    write(tmp_path / "aa.rds", b"junk", 1e8)
    for age, name in enumerate(("d.rds", "b.rds", "c.weird", "e.rds")):
        write(tmp_path / name, modified=1e9 + age)
    listing = Listing(tmp_path, 3)
    assert looked_at(listing) == ["b.rds", "c.weird", "d.rds"]
    assert listing.over


def test_what_serves_stays_whatever_else_comes(tmp_path: Path) -> None:
    for n in range(10):
        write(tmp_path / f"m{n}.rds")
        write(tmp_path / "many" / str(n) / "model.rds")
    bare = write(tmp_path / "zz.rds", modified=2e9)
    version = write(tmp_path / "many" / "z" / "model.rds", modified=2e9)
    listing = Listing(tmp_path, 3, [bare, version])
    assert {"zz.rds", "many/z/model.rds"} <= set(looked_at(listing))
    assert len(looked_at(listing)) <= 4


def test_what_commonly_lies_beside_models_counts_for_nothing(tmp_path: Path) -> None:
    for name in ("a.rds", "a.yaml", "a.rds.sig", "b.rds", "b.yaml", "README.md"):
        write(tmp_path / name)
    listing = Listing(tmp_path, 2)
    assert looked_at(listing) == ["a.rds", "b.rds"]
    assert not listing.over


def test_versions_count_too_and_so_does_what_else_lies_in_their_folders(tmp_path: Path) -> None:
    for n in range(10):
        write(tmp_path / "mpg" / f"1.{n}" / "model.rds")
        for other in range(10):
            write(tmp_path / "mpg" / f"1.{n}" / f"other{other}.rds")
    listing = Listing(tmp_path, 3)
    found = looked_at(listing)
    assert len([one for one in found if one.endswith("model.rds")]) == 2
    assert len(found) <= 5
    assert listing.over


def test_what_is_told_of_the_rest_names_the_setting_and_stays_the_same(tmp_path: Path) -> None:
    one = unserved.too_many(tmp_path / "r_models", 3)
    assert one == unserved.too_many(tmp_path / "r_models", 3)
    assert one.refused is not None
    assert "TANDEM_MAX_MODELS" in one.refused.reason
