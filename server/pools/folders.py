"""The identity of folders: another folder may be renamed to the same name, or mounted on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

Identities = Mapping[Path, tuple[int, int] | None]
"""Device and inode number of the folder at each path; None where there is none."""


def identities(folders: Iterable[Path]) -> Identities:
    """The identity of the folder that each of these paths stands for at present."""
    found: dict[Path, tuple[int, int] | None] = dict.fromkeys(folders)
    for folder in found:
        with contextlib.suppress(OSError):
            status = folder.stat()
            found[folder] = status.st_dev, status.st_ino
    return found
