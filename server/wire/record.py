"""Records: dataclasses that cross a process border as JSON objects, written and read by the same class at both ends.

A record that is read is what its annotations say, at every depth: whoever uses it need not look again. Members that the
reader does not know are passed over, and members that are absent have their default.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints


class Misfit(ValueError):
    """Data from another process is not what was agreed. The text says which member, and holds nothing of its value."""


class Record:
    """Base of the dataclasses that cross a process border."""

    __slots__ = ()

    def to_data(self) -> dict[str, Any]:
        """The record as plain JSON data, with every member."""
        return {name: _plain(getattr(self, name)) for name in _members(type(self))}

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """The record in plain JSON data. Raises Misfit."""
        if not isinstance(data, Mapping):
            raise Misfit(f"a {cls.__name__} is an object")
        given = {}
        for name, (kind, needed) in _members(cls).items():
            if name in data:
                given[name] = _read(kind, data[name], f"{cls.__name__}.{name}")
            elif needed:
                raise Misfit(f"{cls.__name__}.{name} is absent")
        return cls(**given)


def _members(record: type[Any]) -> dict[str, tuple[Any, bool]]:
    """Each member's type, and whether it must be there: it has no default, or its one value tells what record it is."""
    if record not in _KNOWN:
        kinds = get_type_hints(record)
        _KNOWN[record] = {
            f.name: (kinds[f.name], (f.default is MISSING and f.default_factory is MISSING) or _is_tag(kinds[f.name]))
            for f in fields(record)
            if f.init
        }
    return _KNOWN[record]


def _is_tag(kind: Any) -> bool:
    return get_origin(kind) is Literal and len(get_args(kind)) == 1


_KNOWN: dict[type[Any], dict[str, tuple[Any, bool]]] = {}
"""The members of each record that was read or written so far."""


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_data()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, Mapping) else value


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value` as a type takes it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Literal:
        fits = any(type(value) is type(one) and value == one for one in arguments)
    elif origin in (Union, types.UnionType):
        return _one_of(arguments, value, where)
    elif origin is tuple or origin is Sequence:
        return _several(arguments, value, where)
    elif origin is Mapping:
        if isinstance(value, Mapping) and all(type(key) is str for key in value):
            return {key: _read(arguments[1], one, where) for key, one in value.items()}
        fits = False
    elif is_dataclass(kind):
        return kind.from_data(value)  # type: ignore[union-attr]
    elif kind is float:
        fits = type(value) in (int, float)
    else:
        fits = type(value) is kind or (kind is types.NoneType and value is None)
    if not fits:
        raise Misfit(f"{where} is not {getattr(kind, '__name__', kind)}")
    return float(value) if kind is float else value


def _one_of(kinds: Sequence[Any], value: Any, where: str) -> Any:
    for kind in kinds:
        try:
            return _read(kind, value, where)
        except Misfit as e:
            failed = e
    raise failed


def _several(kinds: Sequence[Any], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise Misfit(f"{where} is not a list")
    if (len(kinds) == 2 and kinds[1] is Ellipsis) or len(kinds) == 1:
        return tuple(_read(kinds[0], one, where) for one in value)
    if len(kinds) != len(value):
        raise Misfit(f"{where} is not a list of {len(kinds)}")
    return tuple(_read(kind, one, where) for kind, one in zip(kinds, value, strict=True))
