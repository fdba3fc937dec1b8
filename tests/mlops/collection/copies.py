"""Copies of requests as a web process makes them, for tests of what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from server.wire.collect import Collect, Copied, Described, Kind, frame, id_of, request_frame
from server.wire.frames import BodyFormat
from server.wire.schema import Input, Output, Schema

SCHEMA = Schema(
    (Input("x", "numeric"), Input("name", "string"), Input("n", "integer"), Input("kind", "factor", ("a", "b"))),
    (Output("y", "number"),),
)
ROW = {"x": 1.5, "name": "Ann", "n": 3, "kind": "b"}
NOON = 1_796_040_000.0
"""2026-11-30 at noon, in seconds since 1970."""


def described(model: str = "m", schema: Schema = SCHEMA, **collect: Any) -> Described:
    return Described(model, "1", schema.to_data(), Collect(**collect))


def copied(
    about: Described,
    request_id: str,
    rows: Sequence[Any] = (ROW,),
    answer: bytes | None = None,
    code: str = "ok",
    accept: int = BodyFormat.JSON,
    time: float = NOON,
) -> Copied:
    body = orjson.dumps({"rows": rows})
    told = orjson.dumps({"predictions": [row.get("x") for row in rows]}) if answer is None else answer
    numbers = (time, 0.001, 0.002, len(rows), BodyFormat.JSON, accept, 0, False)
    return Copied(id_of(about.payload()), *numbers, request_id.encode(), code.encode(), b"", body, told)


def frames(about: Described, *copies: Copied) -> list[tuple[Kind, bytes]]:
    """A description, and requests."""
    first = Kind.DESCRIPTION, frame(Kind.DESCRIPTION, about.payload())
    return [first, *((Kind.REQUEST, request_frame(one)) for one in copies)]
