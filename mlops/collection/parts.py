"""Parts: what a sealed segment holds, as Parquet in the store.

A part's name and its rows follow from its segment alone, and it is created only if it is absent: made twice, it is
there once.
"""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from mlops.collection.comparisons import Comparisons
from mlops.collection.ledger import Counts, add
from mlops.collection.rows import Recording
from mlops.collection.spool import frames
from mlops.objects import Objects
from server.wire.collect import HEAD, ID_BYTES, Described, Kind, id_of, pair_of, request_of

log = logging.getLogger(__name__)

COLLECTED, TRUTH = "collected", "truth"
TRUTH_SCHEMA = pa.schema(
    [("request_id", pa.string()), ("row", pa.int32()), ("time", pa.timestamp("us", "UTC")), ("value", pa.string())]
)
"""A value is JSON: what turned out to be right is a number for one model and a text for another."""


def described_in(segment: Path) -> dict[bytes, Described]:
    """The models of a segment's frames, by the digests of their descriptions."""
    found = (frame[HEAD.size :] for kind, frame in frames(segment) if kind is Kind.DESCRIPTION)
    return {id_of(payload): Described.from_data(orjson.loads(payload)) for payload in found}


def upload(segment: Path, described: Mapping[bytes, Described], server: str, key: bytes, objects: Objects) -> Counts:
    """Put all parts of a segment into the store; what became of its requests. Raises StoreUnavailable."""
    became: Counts = {}
    for path, data, model, counts in _parts(segment, described, server, key):
        if data is not None:
            objects.create(path, data)
        add(became, {model: counts})
    return became


def compare(segment: Path, described: Mapping[bytes, Described], comparisons: Comparisons) -> Counts:
    """Compare the pairs of a segment; what they came to, by `endpoint/deployment` of the mirror."""
    found: Counts = {}
    for kind, frame in frames(segment):
        if kind is Kind.PAIR:
            live, mirror = pair_of(frame[HEAD.size :])
            of = described[mirror.described]
            outcome = comparisons.add((described[live.described], live), (of, mirror))
            add(found, {f"{of.endpoint}/{of.deployment}": {outcome: 1}})
    return found


def _parts(
    segment: Path, described: Mapping[bytes, Described], server: str, key: bytes
) -> Iterator[tuple[str, bytes | None, str, Counter[str]]]:
    recordings: dict[tuple[bytes, int], Recording] = {}
    truths: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
    for kind, frame in frames(segment):
        payload = frame[HEAD.size :]
        if kind is Kind.REQUEST:
            copied = request_of(payload)
            hour = int(copied.time // 3600)
            name = copied.described, hour
            if name not in recordings:
                recordings[name] = Recording(described[copied.described], key)
            recordings[name].add(copied)
        elif kind is Kind.TRUTH:
            told = orjson.loads(payload[ID_BYTES:])
            where = told["of"], int(told["time"] // 3600)
            when = datetime.fromtimestamp(told["time"], UTC)
            rows = [(one["request_id"], one["row"], when, orjson.dumps(one["value"]).decode()) for one in told["rows"]]
            truths.setdefault(where, []).extend(rows)
    number = segment.stem
    for (digest, hour), recording in recordings.items():
        about = described[digest]
        path = f"{COLLECTED}/{about.model}/{about.version}/{_hour(hour)}/{server}-{number}-{digest.hex()}.parquet"
        table = recording.table()
        yield path, _written(table) if table.num_rows else None, about.model, recording.became
    for (model, hour), rows in truths.items():
        columns = [list(column) for column in zip(*rows, strict=True)]
        table = pa.Table.from_arrays(
            [pa.array(c, t) for c, t in zip(columns, TRUTH_SCHEMA.types, strict=True)], schema=TRUTH_SCHEMA
        )
        yield f"{TRUTH}/{model}/{_hour(hour)}/{server}-{number}.parquet", _written(table), model, Counter()


def _hour(hour: int) -> str:
    moment = datetime.fromtimestamp(hour * 3600, UTC)
    return f"date={moment:%Y-%m-%d}/hour={moment:%H}"


def _written(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
