"""Paths in what others say: a message that is shown names a file, never where on this machine it lies."""

from __future__ import annotations

import re

_FOLDERS = re.compile(r"(?<![\w./:~-])(?:~|\.{1,2})?/(?:[^\s/'\"()<>:,;]+/)+")


def without_folders(text: str) -> str:
    """The text with every path of more than one part cut down to its last part."""
    return _FOLDERS.sub("", text)
