"""Texts that are models: LightGBM's, among notes, licences and requirements that are called alike."""

from __future__ import annotations

from pathlib import Path

from server.catalog import beneath

ENDING = ".txt"
BEGINS = b"tree"
"""The first line of LightGBM's text format."""


def is_mere_text(path: Path, folder: Path) -> bool:
    """Whether a file is called as LightGBM's models are and is none of them, or not to be opened."""
    if path.suffix.lower() != ENDING:
        return False
    try:
        with beneath.opened(path, folder) as fd:
            return beneath.read(fd, len(BEGINS) + 2).split(b"\n")[0].rstrip() != BEGINS
    except OSError:
        return True
