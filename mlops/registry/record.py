"""What the registry keeps of a version, as data: its files, where it comes from, how good it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Source = Literal["registered", "dropped", "imported"]
"""Whether the registry has a version's bytes, or only knows of them from a server whose folder has the file."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a version."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Record:
    """Everything about a version but its number. A record never changes."""

    model: str
    files: tuple[File, ...]
    runtime: str
    source: Source = "registered"
    run: str | None = None
    """The run that made the version, where something that has a name did. A run makes one version."""
    lineage: Mapping[str, Any] = field(default_factory=dict)
    """Where the version comes from: pipeline, commit, digests of inputs, parameters, environment, seed, tests."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    who: str = ""
    when: str = ""
    """The time of registration in UTC, such as 2026-11-30T04:05:06Z."""

    @property
    def digest(self) -> str:
        """The SHA-256 that stands for the names and bytes of all files."""
        return digest_of(self.files)

    def to_json(self) -> bytes:
        """The object as it is kept in the store."""
        return json.dumps({"sha256": self.digest, **asdict(self)}, indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Record:
        """The record that `to_json` wrote. Members that a later Tandem has added are left out."""
        data = json.loads(text)
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**known | {"files": tuple(File(**file) for file in data["files"])})


def digest_of(files: Iterable[File]) -> str:
    """The SHA-256 of the names and digests of files, in order of their names."""
    lines = sorted(f"{file.name}\0{file.sha256}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Version:
    """A record with the number that it has."""

    number: int
    record: Record
    deleted: bool = False
    """Whether the version's bytes were removed. Its number stays taken."""

    @property
    def model(self) -> str:
        """The model's name."""
        return self.record.model

    @property
    def name(self) -> str:
        """The version as it is written in commands: `diabetes:7`."""
        return f"{self.model}:{self.number}"


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that moves among versions: where it points to since one of its revisions."""

    alias: str
    version: int
    revision: int
    was: int | None = None
    who: str = ""
    when: str = ""
    why: str = ""
