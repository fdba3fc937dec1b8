"""What was used, as text: JSON lines, and CSV for spreadsheets."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, astuple, fields, replace
from io import StringIO
from typing import Final

from auth.audit_text import Form, cell
from auth.limits.usage import UsageRow, UsageStore, WantedUsage

_NAMES: Final = [field.name for field in fields(UsageRow)]
_AT_ONCE: Final = 500


def as_json_lines(rows: Iterable[UsageRow]) -> str:
    """A line of JSON for each row."""
    return "".join(json.dumps(asdict(row), separators=(",", ":")) + "\n" for row in rows)


def as_csv(rows: Iterable[UsageRow]) -> str:
    """A line of CSV for each row, without a line of names."""
    written = StringIO()
    csv.writer(written).writerows([cell(value) for value in astuple(row)] for row in rows)
    return written.getvalue()


HEADS: Final[dict[Form, str]] = {"csv": ",".join(_NAMES) + "\r\n", "jsonl": ""}
WRITERS: Final[dict[Form, Callable[[Iterable[UsageRow]], str]]] = {"csv": as_csv, "jsonl": as_json_lines}


def pages(usage: UsageStore, wanted: WantedUsage, size: int = _AT_ONCE) -> Iterator[list[UsageRow]]:
    """All rows that are wanted, a page at a time."""
    while found := list(usage.rows(wanted, size)):
        yield found
        wanted = replace(wanted, after=(found[-1].day, found[-1].principal, found[-1].model))
