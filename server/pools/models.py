"""A pool's models: what serves, what was refused and why, and what each would look like in the catalog.

Keyed by the file's path: a new file at a path replaces the model that serves from there only once it has proven
itself; until then, and if it is refused, the old one goes on serving beside the refusal, as long as there are processes
that have read it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from server.catalog.files import ModelFile
from server.catalog.sidecar import Sidecar
from server.wire.models import Description
from server.wire.snapshot import Entry

REPLACED = "replaced"
"""Code of a model that served and whose file is another one by now, or none, so that no new process can read it."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A model that has passed its probe."""

    file: ModelFile
    sidecar: Sidecar
    description: Description
    load_seconds: float


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A model file that cannot be served."""

    file: ModelFile
    code: str
    reason: str

    @property
    def about(self) -> dict[str, str]:
        """The fields of its line in the log."""
        return {
            "model": self.file.name,
            "version": self.file.version,
            "code": self.code,
            "reason": self.reason,
        }


class PoolModels:
    """The models of one pool: those being examined, those that serve, and those that were refused."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self.loading: dict[Path, ModelFile] = {}
        self.serving: dict[Path, Proven] = {}
        self.refused: dict[Path, RefusedFile] = {}

    def knows(self, path: Path) -> bool:
        """Whether the pool has a model, in whatever state, of the file at this path."""
        return path in self.loading or path in self.serving or path in self.refused

    def serves(self, file: ModelFile) -> bool:
        """Whether this file, as it is now, is what serves from its path."""
        serving = self.serving.get(file.path)
        return serving is not None and serving.file.model_key == file.model_key

    def unknown(self, files: Iterable[ModelFile]) -> list[ModelFile]:
        """Those of `files` that have not been examined yet. A refused file counts again once it has been touched."""
        return [f for f in files if not self.serves(f) and not self._tried(f)]

    def _tried(self, file: ModelFile) -> bool:
        refused = self.refused.get(file.path)
        is_refused = refused is not None and refused.file == file and refused.code != REPLACED  # else it is back
        return self.loading.get(file.path) == file or is_refused

    def keep_only(self, paths: set[Path]) -> bool:
        """Forget models whose files have gone. True if one that served was among them."""
        return self.forget({*self.loading, *self.serving, *self.refused} - paths)

    def forget(self, paths: set[Path]) -> bool:
        """Forget what is known of these files. True if one that served was among them."""
        served = bool(paths & self.serving.keys())
        for kept in (self.loading, self.serving, self.refused):
            for path in paths & kept.keys():
                del kept[path]
        return served

    def restored(self, files: Iterable[ModelFile]) -> None:
        """Drop what is known of a newer file where the file is again the one that serves."""
        for file in files:
            if self.serves(file):
                self.refused.pop(file.path, None)
                self.loading.pop(file.path, None)

    def serve(self, proven: Proven) -> None:
        """Let this model serve, in place of what its path had before. What is known of a newer file there stays."""
        path = proven.file.path
        if self.loading.get(path) == proven.file:
            del self.loading[path]
            self.refused.pop(path, None)
        self.serving[path] = proven

    def refuse(self, refused: RefusedFile) -> None:
        """Note that this file will not be served, and why."""
        self.loading.pop(refused.file.path, None)
        self.refused[refused.file.path] = refused

    def withdraw(self, refused: RefusedFile) -> bool:
        """Stop serving this model, for the reason given, unless its path has a newer file by now. True if it served."""
        path = refused.file.path
        serving = self.serving.get(path)
        if serving is None or serving.file is not refused.file:
            return False
        del self.serving[path]
        if path not in self.loading:
            self.refused.setdefault(path, refused)
        return True

    def entries(self) -> list[Entry]:
        """The catalog's entries, one per file that serves, is refused or is being looked at."""
        entries = [self._ready(p) for p in self.serving.values()]
        entries += [self._entry(r.file, "failed", reason=r.reason, code=r.code) for r in self.refused.values()]
        return entries + [self._entry(f, "loading") for f in self.loading.values()]

    def _ready(self, proven: Proven) -> Entry:
        sidecar, found = proven.sidecar, proven.description
        return replace(
            self._entry(proven.file, "ready"),
            description=sidecar.description,
            made_with=sidecar.made_with.model_dump(exclude_none=True) or None,
            service=sidecar.service.model_dump(exclude_none=True) or None,
            timeout_s=sidecar.timeout_s,
            collect=sidecar.collect.to_data() if sidecar.collect is not None else None,
            max_rows=sidecar.max_rows,
            load_seconds=proven.load_seconds,
            schema=found.schema,
            model_class=found.model_class,
            package=found.package,
            package_version=found.package_version,
            example=found.example,
            example_prediction=found.example_prediction,
            rowwise=found.rowwise,
            batch_reason=found.batch_reason,
            golden_rows=found.golden_rows,
            load_warnings=found.load_warnings,
            notes=found.notes,
            isolated=found.isolated,
            harmless=found.harmless,
            loads_in_worker=found.loads_in_worker,
        )

    def _entry(self, file: ModelFile, state: Any, **more: Any) -> Entry:
        return _entry(file, self._pool, state, **more)


def unserved_entry(file: ModelFile) -> Entry:
    """The catalog's entry of a file that no pool can serve."""
    assert file.refused is not None
    reason = f"{_shown(file)}: {file.refused.reason}"  # the name need not be the file's, which may be unfit for one
    return _entry(file, "", "failed", reason=reason, code=file.refused.code)


def _entry(file: ModelFile, pool: str, state: Any, **more: Any) -> Entry:
    return Entry(
        name=file.name,
        version=file.version,
        runtime=file.runtime,
        pool=pool,
        state=state,
        model_key=file.model_key,
        file=_shown(file),
        in_version_folder=file.in_version_folder,
        size_bytes=file.size_bytes,
        modified=file.modified,
        **more,
    )


def _shown(file: ModelFile) -> str:
    """The file's name as text. Bytes that are no UTF-8 are replaced."""
    return os.fsencode(file.path.name).decode("utf-8", "replace")


def catalog(entries: Iterable[Entry]) -> list[Entry]:
    """All pools' entries in order, with those marked that answer requests which name no version.

    That is the newest bare file, else the highest version, of whatever runtime.
    """
    entries = sorted(entries, key=lambda e: (e.name, version_order(e.version), e.state))
    best: dict[str, Entry] = {}
    for entry in entries:
        if entry.state == "ready" and (entry.name not in best or _rank(entry) > _rank(best[entry.name])):
            best[entry.name] = entry
    return [replace(e, current=True) if best.get(e.name) is e else e for e in entries]


def _rank(entry: Entry) -> tuple[bool, float, list[tuple[int, int, str]]]:
    bare = not entry.in_version_folder
    return bare, entry.modified if bare else 0.0, version_order(entry.version)


def version_order(version: str) -> list[tuple[int, int, str]]:
    """A sort key that puts "1.10" after "1.9": digits count as numbers, and numbers come after words."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.findall(r"\d+|\D+", version)]
