"""What the first bytes of a file tell: whether it can be a model at all, which needs no process to find out.

A folder may hold ten thousand files that are none. Whatever begins as a model's file does is read by its runtime; what
is left out here is only what no model has ever begun with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from server.catalog import beneath
from server.catalog.files import PYTHON_FILES, R_FILES, ModelFile, ending_of

HEAD_BYTES = 24
LEAST_R_BYTES = 20
"""No .rds file is shorter, whatever it is compressed by."""
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"]\0\0", b"\xffLZMA", b"(\xb5/\xfd")
_R = (*_COMPRESSED, b"X\n", b"A\n", b"B\n", b"\nA", b"A\r", b"RDX", b"RDA", b"RDB")
_PICKLE = (*_COMPRESSED, b"\x80", b"x", b"\x04\x22\x4d\x18", b"ZF", b"c", b"(", b"]", b"}", b")")
"""By the protocols since 2, compressed by joblib, and what a list, a dict or an object begins with before."""
_ONNX = tuple(bytes([field << 3 | kind]) for field in range(1, 16) for kind in (0, 2))
"""Any field of a message that may come first; text begins with others."""
HEADS: Mapping[str, tuple[bytes, ...]] = {
    **dict.fromkeys((".rds", ".RData", ".rda"), _R),
    **dict.fromkeys((".joblib", ".pkl", ".pickle", ".sav"), _PICKLE),
    ".skops": (b"PK",),
    ".onnx": _ONNX,
}
"""How files of these endings may begin; any other may begin as it likes."""
_LFS = b"version https://git-lfs"
_POINTER = (
    "the file is what Git LFS leaves in the place of a large one; fetch the model with git lfs pull, and copy that"
)
_CURES = {
    ".skops": "this is no whole .skops file; save the model again with skops.io.dump, and copy all of it",
    ".onnx": "this is no whole ONNX file; export the model again, and copy all of it",
}
_CUT = "the file is cut short or is no model file; write it again"
_EMPTY = "the file is empty; write it again with saveRDS(model, file)"
_NO_R = "the file is truncated or no .rds file ({why}); write it again with saveRDS(model, file)"
_UNKNOWN = _NO_R.format(why="unknown input format")


def no_model(file: ModelFile) -> str | None:
    """Why a file cannot be a model, and what to do about it; None where that takes reading it."""
    content = file.content
    ending = ending_of(content.name, {**R_FILES, **PYTHON_FILES})
    if ending is None or ending not in HEADS:
        return None
    if ending == ".rds" and 0 < file.size_bytes < LEAST_R_BYTES:
        return _NO_R.format(why=f"it has {file.size_bytes} bytes")
    head = _head(content, file.folder or content.parent)
    if head is None or (head.startswith(HEADS[ending]) and not head.startswith(_LFS)):
        return None
    if head.startswith(_LFS):
        return _POINTER
    if file.runtime == "r":
        return _UNKNOWN if head else _EMPTY
    return _CURES.get(ending, _CUT)


def _head(path: Path, folder: Path) -> bytes | None:
    try:
        with beneath.opened(path, folder) as fd:
            return beneath.read(fd, HEAD_BYTES)
    except OSError:  # whoever reads it tells why it cannot be read
        return None
