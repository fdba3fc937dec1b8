"""A YAML file of an endpoint, read so that each fault can be told by its line.

Owns what is dangerous or dear in YAML: aliases, depth, size, a key that is there twice. Must not know what the keys
mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from server.endpoints.definition import BadDefinition

MAX_BYTES = 1 << 20
"""The largest file that is read: a definition has a few lines."""
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping with the lines of its keys."""

    file: str
    data: Mapping[str, Any]
    lines: Mapping[str, int]
    """The line of each key, by its dotted name, counted from 1."""

    def place(self, key: str) -> str:
        """Where a key stands, for whoever mends it."""
        line = self.lines.get(key) or self.lines.get(key.partition(".")[0])
        return f"{self.file}, line {line}" if line else self.file


def document(data: bytes, file: str) -> Document:
    """The mapping in a file's bytes. Raises BadDefinition, which names the file."""
    try:
        if len(data) > MAX_BYTES:
            raise _bad("it is larger than 1 MiB")
        text = data.decode()
        _check_events(text)
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        lines = _lines(node)
        return Document(file, loader.construct_document(node), lines)
    except BadDefinition as e:
        raise BadDefinition(e.code, f"{file}: {e.text}", e.key) from e
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError, TypeError) as e:
        mark = getattr(e, "problem_mark", None)
        raise _bad(f"{file}{f', line {mark.line + 1}' if mark else ''}: this is not YAML") from e


def _check_events(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _bad(f"line {_line(event)} has an alias, *{event.anchor}; write out what it stands for")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _bad(f"line {_line(event)} is nested more than {MAX_DEPTH} deep")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _lines(node: yaml.Node | None) -> dict[str, int]:
    if not isinstance(node, yaml.MappingNode):
        raise _bad("it has no keys; a definition begins with 'name: …'")
    found: dict[str, int] = {}
    for prefix, mapping in _mappings(node, ""):
        for key, _ in mapping.value:
            name = f"{prefix}{key.value}"
            if name in found:
                raise _bad(f"line {key.start_mark.line + 1}: '{name}' is there twice", name)
            found[name] = key.start_mark.line + 1
    return found


def _mappings(node: yaml.MappingNode, prefix: str) -> list[tuple[str, yaml.MappingNode]]:
    """The mapping itself, and every mapping that is a value in it, with how its keys' dotted names begin."""
    found = [(prefix, node)]
    for key, value in node.value:
        if isinstance(value, yaml.MappingNode):
            found += _mappings(value, f"{prefix}{key.value}.")
    return found


def _bad(text: str, key: str = "") -> BadDefinition:
    return BadDefinition("bad_definition", text, key)
