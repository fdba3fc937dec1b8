"""JSON objects as other servers' clients write them: with the bare words NaN, Infinity and -Infinity in them.

JSON has no such words, but numpy's and pandas' users write them. What a word means depends on the column that it is in,
so it stays apart from the text of the same letters until then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

from server.workers.errors import BadBody


class Bare(str):
    """A number that JSON has no form for, as Tandem's own JSON spells it: NaN, Inf or -Inf."""


_WORDS = {"NaN": Bare("NaN"), "Infinity": Bare("Inf"), "-Infinity": Bare("-Inf")}


def document(text: bytes) -> dict[str, Any]:
    """A body that is a JSON object. Raises BadBody."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            found = _leniently(text)
        except (ValueError, RecursionError):
            at = f"(line {error.lineno}, column {error.colno})"
            raise BadBody(f"the body is not JSON: {error.msg} {at}") from error
    if type(found) is not dict:
        raise BadBody("the body must be a JSON object")
    return found


def _leniently(text: bytes) -> Any:
    """The same by Python's own reader, which takes more than bare words: other encodings, and halves of a character.

    Raises ValueError for those.
    """
    found = json.loads(text.decode(), parse_constant=_WORDS.__getitem__)
    if b"\\u" in text:  # half of a surrogate pair is no text that could be told again, to R or in an error
        json.dumps(found, ensure_ascii=False).encode()
    return found


def as_numbers(values: Iterable[Any]) -> list[Any]:
    """Cells of a column of numbers: each word is a text that Tandem takes for a number."""
    return [str(value) if type(value) is Bare else value for value in values]


def as_missing(values: Iterable[Any]) -> list[Any]:
    """Cells of any other column, in which pandas writes NaN for what is missing."""
    return [None if type(value) is Bare and value == "NaN" else value for value in values]
