"""What is recorded of a deployment's requests: our `collect`, and Azure's `data_collector`, as one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.endpoints.definition import BadDefinition
from server.wire.collect import Collect
from server.wire.record import Misfit

KEYS = ("collect", "data_collector")
_COLLECTIONS = {"model_inputs": "inputs", "model_outputs": "outputs"}
_AZURE = ("collections", "sampling_rate", "rolling_rate")
"""Azure's keys. Recordings are put away every so often for the whole server, so the last one changes nothing."""


def collect_of(data: Mapping[str, Any]) -> Collect | None:
    """What a deployment's file says of it. Raises BadDefinition."""
    ours, azure = data.get("collect"), data.get("data_collector")
    if ours is not None and azure is not None:
        raise _bad("collect", "says the same as 'data_collector'; leave one of them out")
    if azure is not None:
        return _checked(_of_azure(azure), "data_collector")
    return None if ours is None else _checked(ours, "collect")


def _of_azure(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping) or not given.keys() <= set(_AZURE):
        raise _bad("data_collector", f"has the keys {', '.join(_AZURE)}")
    collections = given.get("collections") or {}
    if not isinstance(collections, Mapping) or not collections.keys() <= _COLLECTIONS.keys():
        known = ", ".join(_COLLECTIONS)
        raise _bad("data_collector.collections", f"has the keys {known}; a script's own collections are not recorded")
    found: dict[str, Any] = {"sampling": given.get("sampling_rate", 1.0)}
    for name, ours in _COLLECTIONS.items():
        one = collections.get(name) or {}
        found[ours] = isinstance(one, Mapping) and str(one.get("enabled", False)).lower() == "true"
    return found


def _checked(given: Any, key: str) -> Collect:
    try:
        found = Collect.from_data(given)
    except Misfit as e:
        raise _bad(key, f"cannot be read: {e}") from e
    known = [*Collect.__dataclass_fields__]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise _bad(key, f"has an unknown key '{unknown[0]}'; known are {', '.join(known)}")
    if not 0 <= found.sampling <= 1 or (found.keep_days is not None and found.keep_days < 1):
        raise _bad(key, "has a sampling from 0 to 1, and keep_days from 1")
    return found


def _bad(key: str, text: str) -> BadDefinition:
    return BadDefinition("bad_definition", f"'{key}' {text}", key)
