"""Addresses of Unix sockets, for folders of any depth.

The kernel takes 107 bytes as a socket's address. An operator may keep temporary files, and so our sockets, in a folder
whose name alone is longer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_ADDRESS_BYTES = 107
"""Longest address that fits into the kernel's `sockaddr_un`, which has 108 bytes and ends with a zero."""


@contextmanager
def address(path: Path) -> Iterator[str]:
    """An address to bind or connect by, for a socket at this path; it holds within the `with` block.

    Where the path is too long for an address, it is one by way of the open folder: /proc/self/fd/7/name.
    """
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
