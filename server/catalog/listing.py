"""What is looked at in a model folder: all that lies there, or where that is too much, what has the best claim.

Somebody may fill a folder with a hundred thousand files. What serves stays then, and of the others what is large
enough to be a model and has been there longest is taken; the rest is not even made a note of, and told in one line.
"""

from __future__ import annotations

import heapq
import os
import re
import stat
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path

from server.catalog import beneath

SMALLEST_BYTES = 64
"""What is smaller is hardly a model, and comes after what is not."""
UNLIMITED = 1 << 62
BESIDE = re.compile(
    r"""\. .* | .* ~ | \# .* \# | __pycache__
    | (?!score\.) .* \. (?: py | r | ipynb | rmd | qmd | sh | sql | ps1 | bat )
    | .* \. (?: yaml | sig | lock | pyc | tmp | temp | part | partial | filepart | crdownload | sw[op] | bak | old
              | md | rst | html? | pdf | docx? | pptx? | rtf | tex | log | png | jpe?g | gif | svg
              | csv | tsv | parquet | feather | arrow | xlsx? | sas7bdat | dta | jsonl | ndjson
              | ini | cfg | toml | env | rproj | requirements\.txt )
    | (?: readme | licen[cs]e | copying | notice | changelog | news | todo | makefile | dockerfile | requirements
          | constraints | thumbs | desktop ) (?: [-_.] .* )?
    | train | training | tests? | docs? | data | figures | images | plots | notebooks | scripts | src | man
    | renv | venv | node_modules | lost\+found""",
    re.VERBOSE | re.IGNORECASE,
)
"""Names of what commonly lies beside models, and nobody waits for it to be served."""


class Listing:
    """One look at a model folder, of no more than `limit` files or folders; `known` are the files that serve."""

    def __init__(self, folder: Path, limit: int = UNLIMITED, known: Iterable[Path] = ()) -> None:
        self.folder = folder
        self.over = False
        """Whether there is more than may be looked at."""
        self._left = self._more_left = limit
        self._known = {part for path in known for part in (path, *path.parents)} if limit < UNLIMITED else set()
        self._listed: dict[Path, list[Path]] = {}

    def entries(self, path: Path) -> list[Path]:
        """What lies in the folder itself or in a model's, in order; of too much the part that is looked at."""
        if path not in self._listed:
            chosen = self._chosen(path, _names(path, self.folder))
            self._listed[path] = [path / name for name in chosen]
        return self._listed[path]

    def every(self, path: Path) -> list[Path]:
        """What lies at a path in the folder, in order: all of it, to find a model in it."""
        return [path / name for name in _names(path, self.folder)]

    def leftovers(self, path: Path) -> list[Path]:
        """What lies at a path and is no model, in order: no more of it than there may be models."""
        found = self.every(path)[: self._more_left]
        self._more_left -= len(found)
        return found

    def _chosen(self, path: Path, names: list[str]) -> Collection[str]:
        if len(names) <= self._left:
            self._left -= len(names)
            return names
        names = [name for name in names if not BESIDE.fullmatch(name)]
        known = {known.name for known in self._known if known.parent == path}.intersection(names)
        room = max(0, self._left - len(known))
        others = (name for name in names if name not in known)
        chosen = [*known, *heapq.nsmallest(room, others, key=partial(_rank, str(path)))]
        self.over |= len(chosen) < len(names)
        self._left = max(0, self._left - len(chosen))
        return sorted(chosen)


def _rank(folder: str, name: str) -> tuple[bool, int]:
    """What comes first; without a Path for each of so many."""
    try:
        status = os.lstat(f"{folder}/{name}")
    except OSError:
        return True, 0
    return stat.S_ISREG(status.st_mode) and status.st_size < SMALLEST_BYTES, status.st_mtime_ns


def _names(path: Path, folder: Path) -> list[str]:
    """Nothing in what is no folder, or is none of that folder's."""
    try:
        return beneath.names(path, folder)
    except OSError:
        return []
