"""A private copy of a model's files: what was looked at in it is what is read, whatever becomes of the files.

It lies in a folder of its own that nobody else can open, and lives for as long as anything refers to it.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path

from server.catalog import beneath


class PrivateCopy:
    """The copy of one model file, of what belongs to it, and of its signature, which lies apart."""

    def __init__(self, parent: Path, path: Path, sidecar: Path) -> None:
        top = Path(tempfile.mkdtemp(dir=parent))
        self.remove = weakref.finalize(self, shutil.rmtree, top, ignore_errors=True)
        """Remove the copy now. Its paths stay, and lead nowhere."""
        self.remove.atexit = False
        self.folder = top / "model"
        self.folder.mkdir(mode=0o700)
        self.path = self.folder / path.name
        self.sidecar = self.folder / sidecar.name
        self.signature = top / "signature"

    def fill(self, parts: Mapping[str, Path], folder: Path, signature: Path | None = None) -> None:
        """Copy the files with these names, and the signature if there is one. Raises OSError, Unopened among them.

        They lie in the model `folder`, which no link leads out of.
        """
        for name, part in parts.items():
            _copy(part, self.folder / name, folder)
        if signature is not None and beneath.is_there(signature, folder):
            _copy(signature, self.signature, folder)


def _copy(source: Path, target: Path, folder: Path) -> None:
    with beneath.opened(source, folder) as fd:
        status = os.fstat(fd)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400 | status.st_mode & stat.S_IXUSR)
        with os.fdopen(write_fd, "wb") as writer:
            for piece in beneath.pieces_of(fd, source.name):
                writer.write(piece)
