"""The audit as text: JSON lines, and CSV for spreadsheets.

Owns both forms, and that no cell of a spreadsheet becomes a formula. Must not know where rows come from.
"""

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Final, Literal

from auth.audit import Row

Form = Literal["csv", "jsonl"]

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
_NAMES: Final = [field.name for field in fields(Row)]


def as_data(row: Row) -> dict[str, Any]:
    """A row as an object, with its time in words and its further details as members."""
    data = asdict(row)
    data["at"] = _time(row.at)
    data["more"] = json.loads(row.more) if row.more else {}
    return data


def as_json_lines(rows: Iterable[Row]) -> str:
    """A line of JSON for each row."""
    return "".join(json.dumps(as_data(row), separators=(",", ":")) + "\n" for row in rows)


def as_csv(rows: Iterable[Row]) -> str:
    """A line of CSV for each row, without a line of names."""
    written = StringIO()
    csv.writer(written).writerows([cell(value) for value in _cells(row)] for row in rows)
    return written.getvalue()


HEADS: Final[dict[Form, str]] = {"csv": ",".join(_NAMES) + "\r\n", "jsonl": ""}
WRITERS: Final[dict[Form, Callable[[Iterable[Row]], str]]] = {"csv": as_csv, "jsonl": as_json_lines}


def _cells(row: Row) -> Iterable[object]:
    return (_time(row.at) if name == "at" else getattr(row, name) for name in _NAMES)


def cell(value: object) -> str:
    """A cell that a spreadsheet takes for text and never for a formula, whatever name somebody chose."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
