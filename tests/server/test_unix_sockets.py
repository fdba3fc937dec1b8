"""A socket can be bound and found at a path of any length."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from server.unix_sockets import MAX_ADDRESS_BYTES, address


@pytest.mark.parametrize("length", [60, MAX_ADDRESS_BYTES, MAX_ADDRESS_BYTES + 1, 250])
def test_a_socket_is_bound_and_found_by_a_path_of_any_length(length: int, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * max(1, length - len(str(tmp_path)) - len("//socket")))
    folder.mkdir()
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        with address(folder / "socket") as name:
            listener.bind(name)
        listener.listen()
        with address(folder / "socket") as name:
            caller.connect(name)
        assert (folder / "socket").is_socket()
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_a_path_that_fits_is_its_own_address(tmp_path: Path) -> None:
    with address(tmp_path / "s") as name:
        assert name == str(tmp_path / "s")
