import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from auth.errors import SetupError
from auth.secret_file import SecretFile
from tests.auth.conftest import settle


def parse(raw: bytes) -> bytes:
    """Everything but what has a fault in it."""
    if b"fault" in raw:
        raise ValueError("line 1: there is a fault in it")
    return raw


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return put(tmp_path / "secret", b"one")


@pytest.fixture
def file(path: Path) -> SecretFile[bytes]:
    return SecretFile(path, parse)


def put(path: Path, content: bytes, mode: int = 0o440) -> Path:
    part = path.with_name("part")
    part.write_bytes(content)
    part.chmod(mode)
    return part.rename(path)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(vars(record)["reason"]) for record in caplog.records if record.levelno == logging.ERROR]


def test_a_change_is_taken_at_the_second_look_and_counted_once(file: SecretFile[bytes], path: Path) -> None:
    settle(file.look)
    put(path, b"two")
    assert not file.look()
    assert file.value == b"one"
    assert file.look()
    assert (file.value, file.changes) == (b"two", 1)
    assert not file.look()


def test_a_file_that_says_the_same_in_other_bytes_on_the_disk_has_not_changed(
    file: SecretFile[bytes], path: Path
) -> None:
    put(path, b"one")
    settle(file.look)
    assert file.changes == 0


def test_a_file_that_is_being_written_is_left_alone_until_it_is_whole(file: SecretFile[bytes], path: Path) -> None:
    path.chmod(0o640)
    with path.open("wb", buffering=0) as writing:
        for piece in (b"t", b"w", b"o"):
            assert not file.look()
            writing.write(piece)
        assert not file.look()
    assert file.value == b"one"
    settle(file.look)
    assert (file.value, file.changes) == (b"two", 1)


def test_a_change_between_the_first_reading_and_the_first_look_is_found(file: SecretFile[bytes], path: Path) -> None:
    """Also one that leaves size and times as they were: the first looks read the file whatever they see."""
    before = path.stat()
    put(path, b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    settle(file.look)
    assert file.value == b"two"


def test_a_swap_of_the_folder_as_kubernetes_does_it_is_a_change(tmp_path: Path) -> None:
    """The kubelet and the CSI driver: name -> ..data/name, ..data -> a folder of its time, replaced by a rename."""
    for number in ("1", "2"):
        (tmp_path / f"..{number}").mkdir()
        put(tmp_path / f"..{number}" / "secret", number.encode())
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "secret").symlink_to("..data/secret")
    file = SecretFile(tmp_path / "secret", parse)
    assert file.value == b"1"
    settle(file.look)
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    (tmp_path / "..1" / "secret").unlink()
    settle(file.look)
    assert (file.value, file.changes) == (b"2", 1)


def _open_to_others(path: Path) -> None:
    path.chmod(0o444)


def _spoil(path: Path) -> None:
    put(path, b"fault")


def _remove(path: Path) -> None:
    path.unlink()


def _grow(path: Path) -> None:
    put(path, b"x" * (2**20 + 1))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


BAD: list[tuple[Callable[[Path], None], str]] = [
    (_open_to_others, "can be read by other users"),
    (_spoil, "will not do: line 1: there is a fault"),
    (_remove, "cannot be read"),
    (_grow, "has more than 1048576 bytes"),
    (_folder, "is not a file"),
    (_pipe, "is not a file"),
    (_loop, "cannot be read"),
]


@pytest.mark.parametrize(("make_bad", "words"), BAD)
def test_a_bad_file_stops_the_start_with_its_name_and_what_is_wrong(
    path: Path, make_bad: Callable[[Path], None], words: str
) -> None:
    make_bad(path)
    with pytest.raises(SetupError, match=words) as problem:
        SecretFile(path, parse, "Make a new one.")
    assert str(problem.value).startswith(f"{path} ")
    assert str(problem.value).endswith(". Make a new one.")


@pytest.mark.parametrize(("make_bad", "words"), BAD)
def test_a_file_that_becomes_bad_is_told_of_once_and_what_was_read_before_stays_until_it_is_good_again(
    file: SecretFile[bytes],
    path: Path,
    make_bad: Callable[[Path], None],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settle(file.look)
    make_bad(path)
    for _ in range(5):
        assert not file.look()
    assert (file.value, file.changes) == (b"one", 0)
    [reason] = errors(caplog)
    assert words in reason
    if path.is_dir():
        path.rmdir()
    put(path, b"two")
    settle(file.look)
    assert (file.value, file.changes) == (b"two", 1)
    make_bad(path)
    settle(file.look)
    assert len(errors(caplog)) == 2  # it has been good in between


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o660])
def test_the_group_may_read_it_as_in_a_pod_with_fsgroup(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert SecretFile(path, parse).value == b"one"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o644])
def test_others_may_do_nothing_with_it(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(SetupError, match="other users"):
        SecretFile(path, parse)


def test_who_looks_while_it_is_swapped_again_and_again_sees_whole_files_and_the_last_in_the_end(
    file: SecretFile[bytes], path: Path
) -> None:
    swapped = threading.Event()

    def swap() -> None:
        for i in range(300):
            put(path, b"%d" % (i % 10) * 10_000)
        swapped.set()

    writer = threading.Thread(target=swap)
    writer.start()
    while not swapped.is_set():
        file.look()
        assert file.value == b"one" or (len(set(file.value)) == 1 and len(file.value) == 10_000)
    writer.join()
    settle(file.look)
    assert file.value == b"9" * 10_000


def test_no_log_line_has_anything_of_the_content(
    file: SecretFile[bytes], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for content in (b"fault hunter2", b"hunter2"):
        put(path, content)
        settle(file.look)
    assert file.value == b"hunter2"
    assert len(caplog.records) == 2
    assert not any("hunter2" in str(vars(record)) for record in caplog.records)
