"""What a script returned, as JSON.

Whatever `json.dumps` holds, and the numbers, arrays and tables that models give: numpy, pandas, tensors. NaN and the
infinities are null: JSON has no word for them, and the bare `NaN` that Azure's server writes is not JSON.
"""

from __future__ import annotations

from typing import Any

import orjson

from server.workers.errors import NotJson

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS


def encoded(value: Any) -> bytes:
    """The value as JSON. Raises NotJson."""
    unfit: list[str] = []

    def plain(part: Any) -> Any:
        try:
            return _plain(part)
        except Exception:
            unfit.append(type(part).__name__)
            raise

    try:
        return orjson.dumps(value, default=plain, option=_OPTIONS)
    except TypeError as e:  # orjson's own error is one
        if unfit:
            raise NotJson(f"run() returned a value of type {unfit[0]}, which JSON cannot hold") from e
        raise NotJson(f"run() returned a value that JSON cannot hold: {e}") from e


def _plain(part: Any) -> Any:
    """A table as records, an array or a column as a list, a library's scalar as Python's; known by what they can do."""
    if hasattr(part, "to_dict") and hasattr(part, "columns"):
        return part.to_dict("records")
    for way in ("tolist", "item"):
        if hasattr(part, way):
            plain = getattr(part, way)()
            if type(plain) is not type(part):
                return plain
    raise TypeError
