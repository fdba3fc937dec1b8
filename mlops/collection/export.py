"""What was recorded of a model, as one table in one file, with what turned out to be right beside it.

Parts are read and written one after the other, so that what is recorded may be larger than the memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from mlops.collection.parts import COLLECTED, TRUTH
from mlops.objects import Objects

Key = tuple[str, int]
"""A request's id, and a row's place in it."""


class NothingRecorded(Exception):
    """There is nothing of that model and time in the store."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: of a model, from a time on and up to another one."""

    model: str
    since: datetime | None = None
    until: datetime | None = None
    truth: bool = False


@dataclass(slots=True)
class Written:
    """What was written."""

    rows: int = 0
    with_truth: int = 0
    unknown: int = 0
    """Rows of truth for which nothing is among what was written."""


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...
    def close(self) -> None: ...


def export(objects: Objects, wanted: Wanted, path: Path) -> Written:
    """Write what is wanted, as CSV or, where the file's name ends so, Parquet. Raises NothingRecorded and OSError."""
    parts = list(_parts(objects, wanted))
    schema = _joined([_opened(objects, part).schema_arrow for part in parts])
    if schema is None:
        raise NothingRecorded(f"nothing is recorded of {wanted.model} in that time")
    told = Written()
    truth: dict[Key, Any] = {}
    seen: set[Key] = set()
    if wanted.truth:
        truth = _truth(objects, _asked(objects, parts) | {wanted.model})
        schema = schema.append(pa.field("truth", _kind(truth.values())))
    writer: _Writer = (pq.ParquetWriter if path.suffix == ".parquet" else pcsv.CSVWriter)(path, schema)
    try:
        for part in parts:
            table = _between(_table(objects, part), wanted)
            if wanted.truth:
                keys = list(zip(table["request_id"].to_pylist(), table["row"].to_pylist(), strict=True))
                seen.update(key for key in keys if key in truth)
                values = [truth.get(key) for key in keys]
                told.with_truth += sum(key in truth for key in keys)
                table = table.append_column("truth", _fitted(values, schema.field("truth").type))
            told.rows += table.num_rows
            writer.write_table(_filled(table, schema))
    finally:
        writer.close()
    told.unknown = len(truth) - len(seen)
    return told


def _parts(objects: Objects, wanted: Wanted) -> Iterator[str]:
    """The paths of the parts that may hold rows of that time, in order."""
    top = f"{COLLECTED}/{wanted.model}"
    for version in objects.folders(top):
        yield from _beneath(objects, f"{top}/{version}", wanted)


def _beneath(objects: Objects, top: str, wanted: Wanted) -> Iterator[str]:
    first = "" if wanted.since is None else f"date={wanted.since:%Y-%m-%d}"
    last = "date=~" if wanted.until is None else f"date={wanted.until:%Y-%m-%d}"
    for day in objects.folders(top):
        if first <= day <= last:
            for hour in objects.folders(f"{top}/{day}"):
                folder = f"{top}/{day}/{hour}"
                yield from (f"{folder}/{name}" for name in objects.names(folder))


def _opened(objects: Objects, path: str) -> pq.ParquetFile:
    data = objects.read(path)
    if data is None:
        raise NothingRecorded(f"{path} was removed meanwhile; try again")
    return pq.ParquetFile(io.BytesIO(data))


def _table(objects: Objects, path: str, columns: list[str] | None = None) -> pa.Table:
    """A part, read by this thread alone: with Arrow's own, one process in thirty aborted at its end (Arrow 26)."""
    return _opened(objects, path).read(columns=columns, use_threads=False)


def _joined(schemas: list[pa.Schema]) -> pa.Schema | None:
    """All columns of all parts; one that is not alike in all of them is text."""
    kinds: dict[str, pa.DataType] = {}
    for schema in schemas:
        for one in schema:
            kinds[one.name] = one.type if kinds.get(one.name, one.type) == one.type else pa.string()
    return pa.schema(list(kinds.items())) if kinds else None


def _filled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns, in their order; what it lacks is missing."""
    columns = [
        table[one.name].cast(one.type) if one.name in table.column_names else pa.nulls(table.num_rows, one.type)
        for one in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _between(table: pa.Table, wanted: Wanted) -> pa.Table:
    if wanted.since is not None:
        table = table.filter(pc.greater_equal(table["time"], pa.scalar(wanted.since)))
    if wanted.until is not None:
        table = table.filter(pc.less(table["time"], pa.scalar(wanted.until)))
    return table


def _asked(objects: Objects, parts: list[str]) -> set[str]:
    """The endpoints by which the rows were asked: truth may be told by their names."""
    found: set[str] = set()
    for part in parts:
        column = _table(objects, part, ["endpoint"])["endpoint"]
        found |= {name for name in pc.unique(column).to_pylist() if name is not None}
    return found


def _truth(objects: Objects, names: set[str]) -> dict[Key, Any]:
    """What turned out to be right; of what was told twice, what was told last."""
    found: dict[Key, tuple[datetime, Any]] = {}
    for name in sorted(names):
        for part in _beneath(objects, f"{TRUTH}/{name}", Wanted(name)):
            for row in _table(objects, part).to_pylist():
                key = row["request_id"], row["row"]
                if key not in found or found[key][0] <= row["time"]:
                    found[key] = row["time"], orjson.loads(row["value"])
    return {key: value for key, (_, value) in found.items()}


def _kind(values: Any) -> pa.DataType:
    """Numbers, where all of them are; else texts."""
    return pa.float64() if all(value is None or type(value) in (int, float) for value in values) else pa.string()


def _fitted(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == pa.float64():
        return pa.array(values, kind)
    texts = (value if value is None or type(value) is str else orjson.dumps(value).decode() for value in values)
    return pa.array(list(texts), kind)
