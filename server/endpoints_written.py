"""What the commands of endpoints print: a part of it, chosen by JMESPath, as JSON, YAML, tabs or a table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import yaml

from server.endpoints.edit import Conflict

FORMS = ("json", "yaml", "tsv", "table", "none")


def add_to(parser: argparse.ArgumentParser) -> None:
    """The options that say what is printed, and how."""
    parser.add_argument("--output", "-o", choices=FORMS, default="json")
    parser.add_argument("--query", metavar="JMESPATH", help="which part of it: scoring_uri, or [].name")


def written(data: Any, parsed: argparse.Namespace) -> list[str]:
    """The lines to print."""
    data = _queried(data, parsed.query) if parsed.query else data
    match parsed.output:
        case "none":
            return []
        case "yaml":
            return [yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip("\n").removesuffix("\n...")]
        case "tsv":
            return ["\t".join(_plain(row)) for row in _rows(data)]
        case "table":
            return _table(_rows(data))
    return [orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()]


def _queried(data: Any, query: str) -> Any:
    import jmespath  # here, so that a server that starts does not read it
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.search(query, data)
    except JMESPathError as e:
        raise Conflict(f"'{query}' is not JMESPath: {e}".splitlines()[0]) from e


def _rows(data: Any) -> list[Any]:
    return data if isinstance(data, list) else [] if data is None else [data]


def _plain(row: Any) -> list[str]:
    """The plain values of a row, as az writes them: what has members of its own is left out."""
    values = row.values() if isinstance(row, Mapping) else row if isinstance(row, list) else [row]
    return [_text(value) for value in values if not isinstance(value, Mapping | list)]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _table(rows: Sequence[Any]) -> list[str]:
    """Rows under the names of their members; what has members of its own is left out."""
    shown = [row if isinstance(row, Mapping) else {"Result": row} for row in rows]
    names = list(
        dict.fromkeys(name for row in shown for name, value in row.items() if not isinstance(value, Mapping | list))
    )
    cells = [names, *([_text(row.get(name)) for name in names] for row in shown)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]] if names and rows else []
