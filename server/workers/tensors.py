"""Tensors as cells: nested lists, flattened level by level, and their shapes in words."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple


class Tensor(NamedTuple):
    """One cell of type tensor: numbers, the last dimension fastest."""

    shape: tuple[int, ...]
    values: array[float]


class Misshapen(Exception):
    """A cell is not of the shape that is asked for; `got` says what it is, where that can be told."""

    def __init__(self, hint: str, got: str | None = None) -> None:
        super().__init__(hint)
        self.hint = hint
        self.got = got


def flattened(value: Any, shape: Sequence[int | None]) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of nested lists, and what they hold. Raises Misshapen."""
    level, found = [value], []
    for size in shape:
        if set(map(type, level)) != {list}:
            raise Misshapen("nest the arrays as deep as the shape has dimensions")
        sizes = set(map(len, level))
        longest = max(sizes)
        found.append(longest)
        if len(sizes) > 1 or 0 in sizes or longest != (size or longest):
            got = f"{min(sizes)} to {longest} values" if len(sizes) > 1 else f"{longest} values"
            raise Misshapen("the shape is that of one row", f"{got} in dimension {len(found)}")
        level = list(chain.from_iterable(level))
    return tuple(found), level


def shape_told(shape: Sequence[int | None]) -> str:
    """A shape in words: 3 x any x 224."""
    return " x ".join("any" if size is None else str(size) for size in shape)
