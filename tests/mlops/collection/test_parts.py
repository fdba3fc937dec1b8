"""Parts in the store: the same however often a segment is put there, and gone when they are too old."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq

from mlops.collection.export import Wanted, export
from mlops.collection.parts import described_in, upload
from mlops.collection.retention import Retention
from mlops.collection.spool import Spool
from mlops.objects import Objects
from server.wire.collect import Kind
from tests.mlops.collection.copies import NOON, ROW, copied, described, frames

KEY = b"k" * 32
DAY = 86_400


def sealed(folder: Path, *put: list[tuple[Kind, bytes]]) -> Path:
    spool = Spool(folder, 1 << 20)
    for one in put:
        spool.put(one)
    spool.seal()
    return spool.sealed[0]


def files(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*.parquet")}


def test_a_segment_that_is_put_twice_is_there_once(tmp_path: Path) -> None:
    about = described()
    segment = sealed(tmp_path / "s", frames(about, copied(about, "a"), copied(about, "b", time=NOON + 3600)))
    objects = Objects(tmp_path / "store")
    put = [upload(segment, described_in(segment), "here", KEY, objects) for _ in range(2)]
    assert put[0] == put[1] == {"m": {"kept": 2}}
    found = files(tmp_path / "store")
    assert {name.split("/")[4] for name in found} == {"hour=12", "hour=13"} and len(found) == 2
    assert all(name.startswith("collected/m/1/date=2026-11-30/hour=1") for name in found)


def test_models_that_are_recorded_in_different_ways_do_not_meet(tmp_path: Path) -> None:
    open_, masked = described(), described(mask={"name": "drop"})
    segment = sealed(tmp_path / "s", frames(open_, copied(open_, "a")), frames(masked, copied(masked, "b")))
    upload(segment, described_in(segment), "here", KEY, Objects(tmp_path / "store"))
    names = [pq.read_schema(path).names for path in (tmp_path / "store").rglob("*.parquet")]
    assert sorted("in_name" in one for one in names) == [False, True]


def test_an_export_has_the_columns_of_all_parts_and_the_rows_of_its_time(tmp_path: Path) -> None:
    open_, masked = described(), described(mask={"name": "drop", "x": "hash"})
    copies = frames(open_, copied(open_, "a")), frames(masked, copied(masked, "b", time=NOON + DAY))
    segment = sealed(tmp_path / "s", *copies)
    objects = Objects(tmp_path / "store")
    upload(segment, described_in(segment), "here", KEY, objects)
    assert export(objects, Wanted("m"), tmp_path / "all.parquet").rows == 2
    rows = pq.ParquetFile(tmp_path / "all.parquet").read().sort_by("request_id").to_pylist()
    assert [row["in_name"] for row in rows] == [ROW["name"], None]
    assert rows[0]["in_x"] == "1.5" and len(rows[1]["in_x"]) == 32
    after = Wanted("m", since=datetime.fromtimestamp(NOON + 1, UTC))
    assert export(objects, after, tmp_path / "some.csv").rows == 1
    assert (tmp_path / "some.csv").read_text().count("\n") == 2


def test_recordings_leave_the_store_when_they_are_too_old(tmp_path: Path) -> None:
    for_ever, a_while = described("kept"), described("m", keep_days=2)
    copies = [copied(a_while, f"{n}", time=NOON - n * DAY) for n in range(5)]
    segment = sealed(tmp_path / "s", frames(a_while, *copies), frames(for_ever, copied(for_ever, "a", time=0.0)))
    objects = Objects(tmp_path / "store")
    about = described_in(segment)
    upload(segment, about, "here", KEY, objects)
    Retention().look(objects, about.values(), date(2026, 11, 30))
    days = {path.parts[-3] for path in (tmp_path / "store" / "collected" / "m").rglob("*.parquet")}
    assert days == {"date=2026-11-28", "date=2026-11-29", "date=2026-11-30"}
    assert len(list((tmp_path / "store" / "collected" / "kept").rglob("*.parquet"))) == 1
