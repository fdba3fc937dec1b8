import asyncio
import multiprocessing
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from auth.accounts import Accounts
from auth.errors import AccountError, SetupError, Unauthenticated
from auth.principal import Allowance
from auth.setup import SHOWS_ALL, PeerTokens, issue_for, open_auth, prepare
from auth.tokens import Tokens
from tests.auth.conftest import line, settle, write


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
        "endpoint.key": 0o600,
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


def test_a_start_warns_where_grants_name_models_and_the_documentation_shows_all(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(data, 5.0, shows_all=True)
    with closing(Accounts(data / "accounts.sqlite")) as accounts:
        accounts.policy.add_grant("ann", Allowance(frozenset()), "scorer", "root", 6.0)
        prepare(data, 7.0, shows_all=True)
        assert SHOWS_ALL not in caplog.text
        accounts.policy.add_grant("ann", Allowance(frozenset(), ("mpg",)), "scorer", "root", 8.0)
    prepare(data, 9.0)
    assert SHOWS_ALL not in caplog.text
    prepare(data, 9.0, shows_all=True)
    assert SHOWS_ALL in caplog.text


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
    headers = {b"authorization": b"Bearer " + token.encode()}
    assert asyncio.run(auth.authenticator.authenticate(headers, "")).name == "admin"
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
    headers = {b"authorization": b"Bearer " + token.encode()}
    assert asyncio.run(auth.authenticator.authenticate(headers, "")).may("accounts")
    auth.close()


def test_a_token_for_nobody_is_not_made(data: Path) -> None:
    prepare(data, 5.0)
    with pytest.raises(AccountError, match="unknown"):
        issue_for(data, "bob", 1000.0)


# Files that several servers share


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write(tmp_path / "token.key", "k" * 32)


def recognised(data: Path, token: str, accounts: Path | None, key: Path | None) -> str:
    auth = open_auth(data, clock=lambda: 1001.0, accounts_file=accounts, key_file=key)
    try:
        headers = {b"authorization": b"Bearer " + token.encode()}
        return asyncio.run(auth.authenticator.authenticate(headers, "")).name
    except Unauthenticated as refusal:
        return refusal.reason
    finally:
        auth.close()


def test_with_both_files_nothing_is_made_or_needed_in_the_data_folder(data: Path, path: Path, key: Path) -> None:
    assert prepare(data, 5.0, accounts_file=path, key_file=key) is None
    token = issue_for(data, "ann", 1000.0, accounts_file=path, key_file=key)
    assert recognised(data, token, path, key) == "ann"
    assert not data.exists()


def test_what_one_server_issues_every_other_with_the_same_files_takes(tmp_path: Path, path: Path, key: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        prepare(folder, 5.0, path, key)
    tokens = [issue_for(folder, "ann", 1000.0, path, key) for folder in folders]
    assert {recognised(folder, token, path, key) for folder in folders for token in tokens} == {"ann"}


def test_a_key_alone_signs_for_the_accounts_in_the_data_folder(data: Path, key: Path) -> None:
    assert prepare(data, 5.0, key_file=key) == data / "admin-password"
    assert not (data / "signing.key").exists()
    token = issue_for(data, "admin", 1000.0, key_file=key)
    assert recognised(data, token, None, key) == "admin"


def test_accounts_alone_stop_the_start_for_each_server_would_have_a_key_of_its_own(data: Path, path: Path) -> None:
    prepare(data, 5.0)
    starts: list[Callable[[], object]] = [
        lambda: prepare(data, 5.0, accounts_file=path),
        lambda: open_auth(data, accounts_file=path),
        lambda: issue_for(data, "ann", 5.0, accounts_file=path),
    ]
    for start in starts:
        with pytest.raises(SetupError, match=r"need a token key that comes from a file too \(TANDEM_TOKEN_KEY\)"):
            start()


def test_a_bad_file_stops_the_start_with_its_name(data: Path, path: Path, key: Path) -> None:
    for bad, words in ((path, "line 1: it is not name:role:hash"), (key, "line 1: .* at least 32 bytes")):
        good = bad.read_text()
        write(bad, "short")
        for start in (lambda: prepare(data, 5.0, path, key), lambda: open_auth(data, accounts_file=path, key_file=key)):
            with pytest.raises(SetupError, match=f"^{bad} will not do: {words}"):
                start()
        write(bad, *good.splitlines())


def test_moving_from_the_data_folder_to_files_ends_what_was_issued_and_back_again_too(data: Path, path: Path) -> None:
    """The same key and the same name with the same role, and still a token of one kind is nothing to the other."""
    prepare(data, 5.0)
    key = data / "signing.key"
    write(path, line("admin", "admin"))
    ours = issue_for(data, "admin", 1000.0)
    shared = issue_for(data, "admin", 1000.0, path, key)
    assert [recognised(data, token, None, None) for token in (ours, shared)] == ["admin", "revoked"]
    assert [recognised(data, token, path, key) for token in (ours, shared)] == ["revoked", "admin"]


def test_a_token_for_nobody_in_the_file_is_not_made(data: Path, path: Path, key: Path) -> None:
    for name in ("bob", "@tandem"):
        with pytest.raises(AccountError, match="unknown"):
            issue_for(data, name, 1000.0, path, key)


# Peers


def test_servers_that_share_both_files_know_each_other_as_peers(data: Path, path: Path, key: Path) -> None:
    assert recognised(data, PeerTokens(key).token(1000.0), path, key) == "@tandem"


def test_a_peer_is_nobody_where_only_the_key_is_shared(data: Path, key: Path) -> None:
    prepare(data, 5.0, key_file=key)
    assert recognised(data, PeerTokens(key).token(1000.0), None, key) == "revoked"


def test_the_token_of_a_peer_is_good_for_five_minutes(data: Path, path: Path, key: Path) -> None:
    token = PeerTokens(key).token(1000.0)
    assert Tokens(b"k" * 32).verify(token, 1299.0).expires_at == 1300.0
    with pytest.raises(Unauthenticated, match="expired"):
        Tokens(b"k" * 32).verify(token, 1300.0)


def test_peers_follow_a_change_of_the_key_and_outlive_a_bad_file(key: Path) -> None:
    peers = PeerTokens(key)
    write(key, "n" * 32, "k" * 32)
    settle(lambda: peers.token(1000.0))
    assert Tokens(b"n" * 32).verify(peers.token(1000.0), 1000.0).role == "peer"
    write(key, "short")
    settle(lambda: peers.token(1000.0))
    assert Tokens(b"n" * 32).verify(peers.token(1000.0), 1000.0).role == "peer"
