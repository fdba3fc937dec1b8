"""The models that another server lists, checked before they enter our catalog, which everybody believes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from server.catalog.files import NAME
from server.wire.schema import Schema, SchemaError
from server.wire.snapshot import Entry

log = logging.getLogger(__name__)

_ENTRIES = TypeAdapter(Entry)
_SCHEMAS = TypeAdapter(Schema)


def entries(body: bytes, remote: str) -> tuple[Entry, ...]:
    """The models that a server lists, as entries of ours. Unfit ones are left out. Raises ValueError for no catalog.

    What it lists of other servers is left out too, else two could send a request back and forth.
    """
    catalog = orjson.loads(body)
    if not isinstance(catalog, dict) or not isinstance(catalog.get("entries"), list):
        raise ValueError("no catalog")
    found: list[Entry] = []
    unfit: list[Exception] = []
    for data in catalog["entries"]:
        try:
            entry = _entry(data)
        except (ValidationError, SchemaError, ValueError) as e:
            unfit.append(e)
            continue
        if not entry.remote:
            found.append(replace(entry, pool="", remote=remote))
    if unfit:
        about = {"remote": remote, "models": len(unfit), "reason": _reason(unfit[0])}
        log.warning("a remote lists what is no model", extra=about)
    return tuple(found)


def _entry(data: Any) -> Entry:
    entry = _ENTRIES.validate_python(data)
    if not NAME.fullmatch(entry.name) or not NAME.fullmatch(entry.version):
        raise ValueError("its name or version is unfit for a path")
    if entry.state == "ready" and entry.schema is None:
        raise ValueError("it is ready and has no schema")
    if entry.schema is None:
        return entry
    schema = _SCHEMAS.validate_python(entry.schema)
    if not schema.raw and not isinstance(entry.example, Mapping | None):
        raise ValueError("its example is no row")
    return replace(entry, schema=schema.to_data())  # with all that is not said


def _reason(error: Exception) -> str:
    """What does not fit and where it stands, without the value itself, which may be of any size."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{'.'.join(map(str, first['loc'][:4]))}: {first['msg']}"[:200]
    return str(error)[:200]
