"""Changes of a folder of endpoints: a file is written or removed, and only if the folder is right afterwards.

Owns which file a definition lies in, and that no half of a change is ever seen. Must not know who asks for it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from server.endpoints import azure_yaml, folder
from server.endpoints.definition import BadDefinition, Endpoint
from server.endpoints.yaml_text import MAX_BYTES

LOCK = ".lock"
"""File that is locked while the folder is changed, so that two commands do not undo each other's work."""


class Conflict(Exception):
    """The change cannot be made as things are. The text says what to do."""


class Folder:
    """A folder of endpoints that may be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, data: bytes, file: str, exists: bool | None = None) -> tuple[str, tuple[str, ...]]:
        """Write what a file defines; its name, and warnings. `exists` says whether there must be one already."""
        found = azure_yaml.read(data[: MAX_BYTES + 1], file)
        one = found.definition
        of = None if isinstance(one, Endpoint) else one.endpoint
        what = f"the endpoint '{one.name}'" if of is None else f"the deployment '{one.name}' of '{of}'"
        with self._changing() as draft:
            place = self._places(draft).get((of, one.name))
            if exists is True and place is None:
                raise Conflict(f"there is not {what}; create it")
            if exists is False and place is not None:
                raise Conflict(f"there is {what} already; update it")
            place = place or Path(of or one.name) / ("endpoint.yml" if of is None else f"{one.name}-deployment.yml")
            (draft / place).parent.mkdir(exist_ok=True)
            (draft / place).write_bytes(data)
            self._commit(draft, {place: data})
        return one.name, found.warnings

    def set_traffic(self, endpoint: str, traffic: Mapping[str, int], key: str = "traffic") -> None:
        """Have the deployments of an endpoint answer, or be mirrored, by these percentages; all others get nothing."""

        def changed(said: dict[str, object]) -> dict[str, object]:
            return said | {key: dict(traffic)}

        with self._changing() as draft:
            self._rewrite(draft, endpoint, changed)

    def remove_deployment(self, endpoint: str, name: str) -> None:
        """Remove a deployment that gets no traffic."""
        with self._changing() as draft:
            defined = folder.read(draft).endpoints
            of = defined[endpoint].endpoint if endpoint in defined else Endpoint(endpoint)
            shares = {"traffic": of.traffic, "mirror_traffic": of.mirror_traffic}
            if any(share.get(name) for share in shares.values()):
                raise Conflict(f"the deployment '{name}' has traffic; give it to another one first")
            place = self._place(draft, endpoint, name)
            named = {key: share for key, share in shares.items() if name in share}
            if named:
                left = {key: {k: v for k, v in share.items() if k != name} for key, share in named.items()}
                (draft / place).unlink()
                self._rewrite(draft, endpoint, lambda said: said | left)
                (self.path / place).unlink()
                return
            (draft / place).unlink()
            self._commit(draft, {place: None})

    def remove_endpoint(self, name: str) -> None:
        """Remove an endpoint with its deployments."""
        with self._changing() as draft:
            self._place(draft, None, name)
            gone = [place for (of, one), place in self._places(draft).items() if (of or one) == name]
            for place in gone:
                (draft / place).unlink()
            self._commit(draft, dict.fromkeys(gone))

    def _rewrite(self, draft: Path, endpoint: str, change: Callable[[dict[str, object]], dict[str, object]]) -> None:
        place = self._place(draft, None, endpoint)
        said = change(yaml.safe_load((draft / place).read_bytes()))
        data = yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=120).encode()
        (draft / place).write_bytes(data)
        self._commit(draft, {place: data})

    @contextmanager
    def _changing(self) -> Iterator[Path]:
        """A copy of the folder to try a change on, while nobody else changes it."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with tempfile.TemporaryDirectory() as made:
                draft = Path(made)
                for path in folder.files(self.path):
                    copy = draft / path.relative_to(self.path)
                    copy.parent.mkdir(exist_ok=True)
                    shutil.copyfile(path, copy)
                yield draft
        finally:
            os.close(lock)

    def _commit(self, draft: Path, changes: Mapping[Path, bytes | None]) -> None:
        """Write and remove files, if what comes out is right. Raises BadDefinition."""
        folder.read(draft)
        for place, data in changes.items():
            target = self.path / place
            if data is None:
                target.unlink()
                continue
            target.parent.mkdir(exist_ok=True)
            beside = target.with_name(f".{target.name}")
            beside.write_bytes(data)
            beside.replace(target)

    def _place(self, draft: Path, endpoint: str | None, name: str) -> Path:
        place = self._places(draft).get((endpoint, name))
        if place is None:
            of = f"deployment '{name}' of '{endpoint}'" if endpoint is not None else f"endpoint '{name}'"
            raise Conflict(f"there is no {of}")
        return place

    @staticmethod
    def _places(draft: Path) -> dict[tuple[str | None, str], Path]:
        """The file of each definition, by endpoint (None for an endpoint itself) and name."""
        found: dict[tuple[str | None, str], Path] = {}
        for path in folder.files(draft):
            one = azure_yaml.read(path.read_bytes(), str(path.relative_to(draft))).definition
            found[None if isinstance(one, Endpoint) else one.endpoint, one.name] = path.relative_to(draft)
        return found


def weights(text: str) -> dict[str, int]:
    """The percentages in a text such as `blue=90 green=10`. Raises BadDefinition."""
    found: dict[str, int] = {}
    for part in text.replace(",", " ").split():
        name, _, share = part.partition("=")
        if not share.isascii() or not share.isdigit() or name in found:
            raise BadDefinition("bad_traffic", f"'{part}' is not NAME=PERCENT, as in \"blue=90 green=10\"", "traffic")
        found[name] = int(share)
    return found
