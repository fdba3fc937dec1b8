import multiprocessing
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auth.accounts import Accounts
from auth.errors import AccountError, SetupError
from auth.setup import issue_for, open_auth, prepare


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "new" / "data"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_a_folder_of_secrets_that_only_its_owner_can_read(data: Path) -> None:
    assert prepare(data, 5.0) == data / "admin-password"
    assert mode(data) == 0o700
    assert {file.name: mode(file) for file in data.iterdir()} == {
        "accounts.sqlite": 0o600,
        "admin-password": 0o600,
        "lock": 0o600,
        "signing.key": 0o600,
    }
    assert len((data / "signing.key").read_bytes()) == 64


def test_the_password_written_down_is_that_of_the_admin(data: Path) -> None:
    password_file = prepare(data, 5.0)
    assert password_file is not None
    accounts = Accounts(data / "accounts.sqlite")
    assert accounts.sign_in("admin", password_file.read_text().strip(), 6.0) is not None
    assert [(account.name, account.role, account.created_at) for account in accounts.list()] == [("admin", "admin", 5)]
    accounts.close()


def test_the_next_start_changes_nothing(data: Path) -> None:
    prepare(data, 5.0)
    before = {file.name: file.read_bytes() for file in data.iterdir()}
    assert prepare(data, 6.0) is None
    assert {file.name: file.read_bytes() for file in data.iterdir()} == before


def test_a_start_that_was_cut_short_is_made_good_by_the_next(data: Path) -> None:
    data.mkdir(parents=True)
    (data / "signing.key.part").write_text("half")
    (data / "admin-password").write_text("of an account that was never made")
    assert prepare(data, 5.0) == data / "admin-password"
    assert not (data / "signing.key.part").exists()
    assert "never" not in (data / "admin-password").read_text()


def _start(data: Path, together: Any, results: Any) -> None:
    together.wait(timeout=60)
    results.put((prepare(data, 5.0), (data / "signing.key").read_bytes()))


def test_processes_racing_at_the_first_start_make_one_key_and_one_admin(data: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_start, args=(data, together, results)) for _ in range(4)]
    for process in processes:
        process.start()
    made = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert len({key for _, key in made}) == 1
    assert sorted(path is None for path, _ in made) == [False, True, True, True]


def _open_to_others(key: Path) -> None:
    key.chmod(0o604)


def _short(key: Path) -> None:
    key.write_bytes(b"k" * 31 + b"\n")


def _empty(key: Path) -> None:
    key.write_bytes(b"")


def _pem(key: Path) -> None:
    key.write_text("-----BEGIN PRIVATE KEY-----\nMIIBIjANBgkqhkiGAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n")


@pytest.mark.parametrize("spoil", [_open_to_others, _short, _empty, _pem])
def test_a_key_that_will_not_do_stops_the_start_with_what_to_do(data: Path, spoil: Callable[[Path], None]) -> None:
    prepare(data, 5.0)
    spoil(data / "signing.key")
    for start in (lambda: prepare(data, 6.0), lambda: open_auth(data)):
        with pytest.raises(SetupError, match=r"signing\.key .* Delete it to get a new"):
            start()


def test_a_key_that_the_kubelet_gave_to_the_pods_group_will_do(data: Path) -> None:
    prepare(data, 5.0)
    (data / "signing.key").chmod(0o660)
    assert prepare(data, 6.0) is None


def test_a_key_with_a_newline_after_it_is_the_same_key(data: Path) -> None:
    prepare(data, 5.0)
    token = issue_for(data, "admin", 1000.0)
    key = data / "signing.key"
    key.write_bytes(key.read_bytes() + b"\n")
    auth = open_auth(data, clock=lambda: 1001.0)
    assert auth.authenticator.authenticate(b"Bearer " + token.encode()).name == "admin"
    auth.close()


def test_a_folder_that_cannot_be_made_stops_the_start_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="Name a folder"):
        prepare(tmp_path / "file" / "data", 5.0)


def test_without_preparation_a_web_process_does_not_start(data: Path) -> None:
    with pytest.raises(SetupError, match="Start the server once"):
        open_auth(data)


def test_a_token_made_on_the_servers_own_machine_is_good(data: Path) -> None:
    prepare(data, 5.0)
    token = issue_for(data, "admin", 1000.0)
    auth = open_auth(data, clock=lambda: 1001.0)
    assert auth.authenticator.authenticate(b"Bearer " + token.encode()).may("accounts")
    auth.close()


def test_a_token_for_nobody_is_not_made(data: Path) -> None:
    prepare(data, 5.0)
    with pytest.raises(AccountError, match="unknown"):
        issue_for(data, "bob", 1000.0)
