"""A folder of YAML files, from git or a ConfigMap, that says which endpoints there are.

Owns which files count and that they fit each other: the folder is taken whole or not at all. Must not know when it
is looked at.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from server.endpoints import azure_yaml
from server.endpoints.definition import BadDefinition, Deployment, Endpoint, check_traffic
from server.endpoints.yaml_text import MAX_BYTES

T = TypeVar("T")
ENDINGS = (".yml", ".yaml")
MOST_FILES = 1000
"""How many files are read: what an organisation serves, not what a stray checkout has."""

Stamp = tuple[tuple[str, int, int, int], ...]
"""What tells that a file has changed: its path, size, time and inode."""


@dataclass(frozen=True, slots=True)
class Defined:
    """An endpoint with its deployments."""

    endpoint: Endpoint
    deployments: Mapping[str, Deployment] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Definitions:
    """All endpoints of a server, by name, and what was passed over in their files."""

    endpoints: Mapping[str, Defined] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def files(folder: Path) -> list[Path]:
    """The YAML files of the folder and of the folders in it, in order; hidden ones are another's business."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        beneath = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [one for one in beneath if one.name.lower().endswith(ENDINGS) and not one.name.startswith(".")]
    if len(found) > MOST_FILES:
        raise BadDefinition("bad_definition", f"the folder has {len(found)} YAML files; {MOST_FILES} at most are read")
    return found


def stamp(folder: Path) -> Stamp:
    """What the folder looks like; equal stamps mean that nothing was written meanwhile. Raises OSError."""
    states = [(str(path), path.stat()) for path in files(folder)]
    return tuple((path, state.st_size, state.st_mtime_ns, state.st_ino) for path, state in states)


def read(folder: Path) -> Definitions:
    """What all files of the folder say together. Raises BadDefinition and OSError."""
    endpoints: dict[str, tuple[Endpoint, str]] = {}
    deployments: dict[str, dict[str, tuple[Deployment, str]]] = {}
    warnings: list[str] = []
    for path in files(folder):
        file = str(path.relative_to(folder))
        found = azure_yaml.read(_bytes(path, file), file)
        warnings += found.warnings
        definition = found.definition
        if isinstance(definition, Endpoint):
            _add(endpoints, definition.name, definition, file, "endpoint")
        else:
            _add(deployments.setdefault(definition.endpoint, {}), definition.name, definition, file, "deployment")
    for name, of_endpoint in deployments.items():
        if name not in endpoints:
            _, file = next(iter(of_endpoint.values()))
            text = f"{file}: there is no endpoint '{name}'; a file of its own defines it, with 'name: {name}'"
            raise BadDefinition("bad_definition", text, "endpoint_name")
    defined = {}
    for name, (endpoint, file) in endpoints.items():
        beneath = {one: deployment for one, (deployment, _) in deployments.get(name, {}).items()}
        try:
            check_traffic(endpoint, beneath)
        except BadDefinition as e:
            raise BadDefinition(e.code, f"{file}: {e.text}", e.key) from e
        defined[name] = Defined(endpoint, beneath)
    return Definitions(defined, tuple(warnings))


def _add(known: dict[str, tuple[T, str]], name: str, definition: T, file: str, what: str) -> None:
    if name in known:
        text = f"{file}: the {what} '{name}' is in {known[name][1]} too; one file defines it"
        raise BadDefinition("bad_definition", text, "name")
    known[name] = definition, file


def _bytes(path: Path, file: str) -> bytes:
    """The bytes of a regular file, one more than may be at most. A pipe is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadDefinition("bad_definition", f"{file}: this is no file")
        return opened.read(MAX_BYTES + 1)
