"""`tandem collect`: what was recorded, for R and Python."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from server.config import Settings


class Refused(Exception):
    """A command cannot be carried out; the text says why."""


def add_to(actions: Any, run: Callable[[Callable[[Settings, argparse.Namespace], Iterator[str]]], Any]) -> None:
    """Add the actions to a parser. `run` makes a command of what gives the lines to be said."""
    export = actions.add_parser("export", help="write what was recorded of a model into one file, CSV or Parquet")
    export.add_argument("--model", required=True)
    export.add_argument("--truth", action="store_true", help="add what turned out to be right, as the column `truth`")
    export.add_argument("--since", type=_instant, help="2026-11-01 or 2026-11-01T08:00:00Z, in UTC")
    export.add_argument("--until", type=_instant, help="up to this time, without it")
    export.add_argument("-o", "--output", type=Path, required=True, help="a file that ends in .csv or .parquet")
    export.set_defaults(run=run(_export))


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _export(settings: Settings, parsed: argparse.Namespace) -> Iterator[str]:
    from mlops.collection.export import NothingRecorded, Wanted, export  # Arrow takes its time
    from mlops.objects import Objects, StoreUnavailable

    if parsed.output.suffix not in (".csv", ".parquet"):
        raise Refused(f"{parsed.output}: name a file that ends in .csv or .parquet")
    wanted = Wanted(parsed.model, parsed.since, parsed.until, parsed.truth)
    try:
        written = export(Objects(settings.store or settings.data / "store"), wanted, parsed.output)
    except (NothingRecorded, StoreUnavailable) as e:
        raise Refused(str(e)) from e
    yield f"{written.rows} rows"
    if parsed.truth:
        yield f"{written.with_truth} of them with truth; {written.unknown} rows of truth are of none of them"
