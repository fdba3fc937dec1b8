"""The registry's rules, on a store of objects that are created once and never changed.

    models/diabetes/records/<sha256>.json             everything about a version but its number
    models/diabetes/runs/<sha256 of its name>.json    which record a run made
    models/diabetes/versions/00000007.json            {"record": "<sha256>"}
    models/diabetes/deleted/00000005.json             who removed that version's bytes, and when
    models/diabetes/aliases/champion/00000004.json    where an alias points to since its fourth revision
    blobs/<sha256>                                    the bytes of a file

Whoever creates an object first has decided. So numbers have no hole: one is taken by creating the next, whoever fails
tries the one after it, and of two that number the same record the second finds that the first has done it. An alias
moves by creating its next revision, so of two that saw the same revision one is refused.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from mlops.objects import Objects
from mlops.registry import reference
from mlops.registry.errors import RegistryError
from mlops.registry.record import Alias, File, Record, Version

CHAMPION: Final = "champion"
"""The alias that answers for a model by its name."""
_DIGITS: Final = 8
_FRESH: Final = timedelta(days=1)
"""Age of bytes above which they are put again: unnamed for so long, they may be removed soon."""


class Registry:
    """The versions and aliases of all models in a store. What never changes is read once and kept."""

    def __init__(self, objects: Objects, clock: Callable[[], float] = time.time) -> None:
        self.objects = objects
        self._clock = clock
        self._versions: dict[tuple[str, int], str] = {}
        self._records: dict[tuple[str, str], Record] = {}

    # Reading

    def models(self) -> list[str]:
        """The names of all models."""
        return self.objects.folders("models")

    def versions(self, model: str) -> list[Version]:
        """All versions of a model in their order, also those whose bytes were removed.

        A record that nobody has numbered, as whoever registered it died before, gets its number now.
        """
        reference.check_model(model)
        records = {name.removesuffix(".json") for name in self.objects.names(f"models/{model}/records")}
        if not records:
            raise RegistryError("unknown_model", f"there is no model {model} in the registry")
        numbered = dict(self._numbered(model))
        for digest in sorted(records - set(numbered.values())):
            numbered[self._number(model, digest, 0)] = digest
        gone = self._deleted(model)
        return [Version(number, self._record(model, numbered[number]), number in gone) for number in sorted(numbered)]

    def version(self, model: str, number: int) -> Version:
        """One version. Raises RegistryError."""
        digest = self._digest(model, number)
        if digest is None:
            raise RegistryError("unknown_version", f"there is no version {number} of {model}")
        gone = self.objects.read(_deleted_path(model, number)) is not None
        return Version(number, self._record(model, digest), gone)

    def resolve(self, text: str) -> Version:
        """The version that `model:7` or `model@champion` means now, if its bytes are there. Raises RegistryError."""
        found = reference.parse(text)
        number = found.number if found.alias is None else self.alias(found.model, found.alias).version
        assert number is not None
        version = self.version(found.model, number)
        if version.deleted:
            raise RegistryError("unknown_version", f"version {number} of {found.model} was deleted")
        return version

    def aliases(self, model: str) -> list[Alias]:
        """All aliases of a model, by name."""
        reference.check_model(model)
        return [self.alias(model, name) for name in self.objects.folders(f"models/{model}/aliases")]

    def alias(self, model: str, alias: str) -> Alias:
        """The version that an alias points to. Raises RegistryError."""
        folder = _alias_folder(model, alias)
        found = self._moved(folder, alias, max(self._numbers(folder), default=0))
        if found is None:
            raise RegistryError("unknown_alias", f"{model} has no alias {alias}")
        return found

    def history(self, model: str, alias: str) -> list[Alias]:
        """Every move of an alias, the oldest first."""
        folder = _alias_folder(model, alias)
        moves = [self._moved(folder, alias, revision) for revision in self._numbers(folder)]
        return [one for one in moves if one is not None]

    def _moved(self, folder: str, alias: str, revision: int) -> Alias | None:
        text = self.objects.read(_numbered_path(folder, revision))
        return None if text is None else Alias(alias, revision=revision, **json.loads(text))

    # Registering

    def register(self, record: Record, files: Mapping[str, Path]) -> tuple[Version, bool]:
        """Register a version whose files lie at these paths. The version, and whether it is new.

        The same run and bytes again are the version that there is. Raises RegistryError.
        """
        _check(record)
        for file in record.files if record.source != "dropped" else ():
            self._put(file, files[file.name])
        record = replace(record, when=record.when or self.now())
        folder = f"models/{record.model}"
        path = f"{folder}/records/{record.digest}.json"
        if self.objects.modified(path) is None:
            self._claim_run(record)
            last = max(self._numbers(f"{folder}/versions"), default=0)
            if self.objects.create(path, record.to_json()):
                # Whoever else numbers it has seen its record, and so takes a number above `last` too.
                return Version(self._number(record.model, record.digest, last), record), True
        return self._again(record), False

    def _again(self, record: Record) -> Version:
        """The version that has these bytes already, where they may be registered again."""
        there = self._record(record.model, record.digest)
        version = Version(self._number(record.model, record.digest, 0), there)
        if there.run != record.run:
            by = f"run {there.run}" if there.run else f"{there.who or 'somebody'} without a run"
            raise RegistryError("duplicate_version", f"these bytes are version {version.number} already, by {by}")
        if version.number in self._deleted(record.model):
            raise RegistryError("duplicate_version", f"these bytes were version {version.number}, which was deleted")
        return version

    def move(self, model: str, alias: str, number: int, seen: int, who: str = "", why: str = "") -> Alias:
        """Have an alias point to another version. `seen` is its revision that was seen last, 0 where there was none.

        Raises RegistryError, also where it has moved since.
        """
        folder = _alias_folder(model, alias)
        self._have(model, number)
        revision = max(self._numbers(folder), default=0)
        was = self.alias(model, alias).version if revision else None
        moved = Alias(alias, number, seen + 1, was, who, self.now(), why)
        about = {name: value for name, value in asdict(moved).items() if name not in ("alias", "revision")}
        if revision != seen or not self.objects.create(_numbered_path(folder, seen + 1), _json(about)):
            text = f"{alias} of {model} is at revision {max(self._numbers(folder), default=0)} and not at {seen}"
            raise RegistryError("stale_alias", f"{text}: somebody has moved it; look again")
        try:
            self._have(model, number)
        except RegistryError:  # deleted in this very moment
            if was is not None:
                self.move(model, alias, was, seen + 1, who, f"version {number} was deleted")
            raise
        return moved

    def delete(self, model: str, number: int, who: str = "", used_by: Iterable[str] = ()) -> None:
        """Remove a version's bytes; its number and record stay. Raises RegistryError where something names it."""
        version = self.version(model, number)
        self._refuse_use(version, used_by)
        tombstone = _deleted_path(model, number)
        self.objects.create(tombstone, _json({"who": who, "when": self.now()}))
        try:
            self._refuse_use(version, ())  # an alias that has moved to it meanwhile
        except RegistryError:
            self.objects.remove(tombstone)
            raise
        kept = set(self._named_files())
        for file in version.record.files:
            if file.sha256 not in kept:
                self.objects.remove(blob(file))

    def _named_files(self) -> Iterator[str]:
        """The digests of all files of all versions whose bytes are there."""
        for model in self.models():
            for version in self.versions(model):
                if not version.deleted:
                    yield from (file.sha256 for file in version.record.files)

    def now(self) -> str:
        """The present time, as records have it."""
        return datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    # Numbers

    def _number(self, model: str, digest: str, last: int) -> int:
        """The number of a record above `last`; the next one, if it has none."""
        number = last + 1
        while (there := self._digest(model, number)) is not None or not self._take(model, number, digest):
            if (there or self._digest(model, number)) == digest:
                break
            number += 1
        return number

    def _take(self, model: str, number: int, digest: str) -> bool:
        return self.objects.create(_numbered_path(f"models/{model}/versions", number), _json({"record": digest}))

    def _numbered(self, model: str) -> Iterator[tuple[int, str]]:
        """Each number with its record. A listing may miss one that is made meanwhile, so none in between is left out.

        Of two numbers of one record the lower counts.
        """
        seen: set[str] = set()
        for number in range(1, max(self._numbers(f"models/{model}/versions"), default=0) + 1):
            digest = self._digest(model, number)
            if digest is not None and digest not in seen:
                seen.add(digest)
                yield number, digest

    def _digest(self, model: str, number: int) -> str | None:
        """The digest of the record that has a number; None if the number is free."""
        reference.check_model(model)
        known = self._versions.get((model, number))
        if known is None:
            text = self.objects.read(_numbered_path(f"models/{model}/versions", number))
            if text is None:
                return None
            known = self._versions[model, number] = str(json.loads(text)["record"])
        return known

    def _numbers(self, folder: str) -> list[int]:
        stems = (name.removesuffix(".json") for name in self.objects.names(folder))
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def _deleted(self, model: str) -> set[int]:
        return set(self._numbers(f"models/{model}/deleted"))

    # Parts

    def _record(self, model: str, digest: str) -> Record:
        known = self._records.get((model, digest))
        if known is None:
            text = self.objects.read(f"models/{model}/records/{digest}.json")
            if text is None:
                raise RegistryError("damaged_version", f"the store has lost the record {digest} of {model}")
            known = self._records[model, digest] = Record.from_json(text)
        return known

    def _have(self, model: str, number: int) -> None:
        if self.version(model, number).deleted:
            raise RegistryError("unknown_version", f"version {number} of {model} was deleted")

    def _refuse_use(self, version: Version, used_by: Iterable[str]) -> None:
        named = [f"alias {one.alias}" for one in self.aliases(version.model) if one.version == version.number]
        if users := [*named, *used_by]:
            text = f"version {version.number} of {version.model} is named by {', '.join(users)}"
            raise RegistryError("in_use", f"{text}; move that first")

    def _claim_run(self, record: Record) -> None:
        if record.run is None:
            return
        path = f"models/{record.model}/runs/{hashlib.sha256(record.run.encode()).hexdigest()}.json"
        if not self.objects.create(path, _json({"run": record.run, "record": record.digest})):
            there = json.loads(self.objects.read(path) or b"{}").get("record")
            if there != record.digest:
                text = f"run {record.run} has registered other bytes of {record.model}"
                raise RegistryError("duplicate_run", f"{text}; a run makes one version, so give this one another name")

    def _put(self, file: File, path: Path) -> None:
        modified = self.objects.modified(blob(file))
        if modified is None or datetime.now(UTC) - modified > _FRESH:
            self.objects.put_file(blob(file), path)


def blob(file: File) -> str:
    """The place of a file's bytes in the store."""
    return f"blobs/{file.sha256}"


def _check(record: Record) -> None:
    reference.check_model(record.model)
    if not record.files:
        raise RegistryError("bad_version", "a version has at least one file")
    if record.run is not None and not 0 < len(record.run) <= 200:
        raise RegistryError("bad_version", "the name of a run has 1 to 200 characters")


def _alias_folder(model: str, alias: str) -> str:
    reference.check_model(model)
    reference.check_alias(alias)
    return f"models/{model}/aliases/{alias}"


def _numbered_path(folder: str, number: int) -> str:
    return f"{folder}/{number:0{_DIGITS}}.json"


def _deleted_path(model: str, number: int) -> str:
    return _numbered_path(f"models/{model}/deleted", number)


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True).encode()
