import threading
from collections.abc import Callable
from pathlib import Path

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth import account_file
from auth.account_file import AccountFile, Line, new_line, parse
from auth.errors import AccountError, NoRefreshTokens, SetupError
from auth.principal import ROLES
from auth.sessions import PEER
from auth.store import Account, is_name
from tests.auth.conftest import line, settle, write

PASSWORD = "correct horse"
HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD, salt=bytes(16))
"""Always the same, as tests are named by it."""


def session_of(accounts: AccountFile, name: str) -> str:
    return accounts.open_session(name, 0.0).session.id


def test_accounts_are_listed_by_name(shared: AccountFile) -> None:
    assert shared.list() == (Account("ann", "analyst"), Account("root", "admin"))


def test_signing_in_takes_the_right_name_and_the_right_password(shared: AccountFile) -> None:
    opened = shared.sign_in("ann", PASSWORD, 5.0)
    assert opened is not None
    assert (opened.session.account, opened.session.role, opened.refresh_token) == ("ann", "analyst", None)
    assert shared.sessions.find(opened.session.id) == opened.session
    assert shared.sign_in("ann", "wrong horse", 5.0) is None
    assert shared.sign_in("bob", PASSWORD, 5.0) is None
    assert shared.sign_in("Ann", PASSWORD, 5.0) is None
    assert shared.sign_in("\ud800", PASSWORD, 5.0) is None


def test_a_line_that_is_printed_is_one_that_signs_in(tmp_path: Path) -> None:
    accounts = AccountFile(write(tmp_path / "accounts", new_line("ann", "analyst", PASSWORD)))
    assert accounts.list() == (Account("ann", "analyst"),)
    assert accounts.sign_in("ann", PASSWORD, 0.0) is not None


@pytest.mark.parametrize(("name", "password", "problem"), [("a:b", PASSWORD, "bad_name"), ("ann", "short", "bad_pass")])
def test_no_line_is_made_for_a_bad_name_or_password(name: str, password: str, problem: str) -> None:
    with pytest.raises(AccountError, match=problem):
        new_line(name, "scorer", password)


def test_comments_blank_lines_and_ends_of_line_of_windows_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    write(path, "# who\r", "", "  \t", f"  {line('ann')}  ", "  # é \u2028 x", line("bob") + "\r", "#" + line("cyd"))
    assert [account.name for account in AccountFile(path).list()] == ["ann", "bob"]


# What is wrong


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ann", "it is not name:role:hash"),
        ("ann:scorer", "it is not name:role:hash"),
        ("ann:scorer:", "it is not name:role:hash"),
        (f"a/b:scorer:{HASH}", "its name is not"),
        (f":scorer:{HASH}", "its name is not"),
        (f"@tandem:scorer:{HASH}", "its name is not"),
        (f"\ufeffann:scorer:{HASH}", "its name is not"),
        (f"{'n' * 65}:scorer:{HASH}", "its name is not"),
        (f"ann:root:{HASH}", "its role is not one of scorer, analyst, publisher, auditor, admin, none"),
        (f"ann:peer:{HASH}", "its role is not one of"),
        (f"ann: scorer:{HASH}", "its role is not one of"),
        (f"ann::{HASH}", "its role is not one of"),
        ("ann:scorer:secret", "its hash is not one of argon2id"),
        (f"ann:scorer: {HASH}", "its hash is not one of argon2id"),
        (f"ann:scorer:{HASH}:", "its hash is not one of argon2id"),
        (f"ann:scorer:{HASH[:-4]}????", "its hash is not one of argon2id"),
        ("ann:scorer:$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "its hash is not one of argon2id"),
        (line("root"), "its name is there before"),
    ],
)
def test_a_fault_is_told_with_the_number_of_its_line_and_nothing_of_what_it_says(
    tmp_path: Path, text: str, words: str
) -> None:
    path = write(tmp_path / "accounts", "# ours", line("root", "admin"), "", text)
    with pytest.raises(SetupError) as problem:
        AccountFile(path)
    assert f"line 4: {words}" in str(problem.value)
    assert str(problem.value).startswith(str(path))
    assert "$" not in str(problem.value)
    assert "secret" not in str(problem.value)


def test_every_fault_is_told_up_to_ten() -> None:
    with pytest.raises(ValueError, match=r"^line 1: .*; line 3: .*hash$"):
        parse(f"ann\n{line('bob')}\ncyd".encode())
    with pytest.raises(ValueError, match=r"^line 1: .*; line 10: .*; and 2 more$"):
        parse(b"ann\n" * 12)


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"# nobody\n"])
def test_a_file_without_an_account_will_not_do(raw: bytes) -> None:
    with pytest.raises(ValueError, match="there is no account in it"):
        parse(raw)


@given(
    st.binary()
    | st.lists(st.sampled_from([HASH, ":", "ann", "scorer", "\n", "#", "\0", "é"])).map(
        lambda parts: "".join(parts).encode()
    )
)
def test_whatever_a_file_holds_it_is_accounts_or_a_fault_that_does_not_tell_a_hash(raw: bytes) -> None:
    try:
        lines = parse(raw)
    except ValueError as fault:
        assert "$argon2" not in str(fault)
    else:
        assert all(is_name(one.name) and one.role in ROLES for one in lines.by_name.values())


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", fullmatch=True)
LINES = st.builds(Line, NAMES, st.sampled_from(ROLES), st.sampled_from([line("x").split(":")[2] for _ in range(3)]))


@given(st.lists(LINES, min_size=1, unique_by=lambda one: one.name))
def test_what_is_written_is_what_is_read(lines: list[Line]) -> None:
    assert list(parse("\n".join(map(str, lines)).encode()).by_name.values()) == lines


@given(LINES, LINES)
def test_two_lines_have_the_same_session_only_if_they_say_the_same(one: Line, other: Line) -> None:
    assert (one.session.id == other.session.id) == (one == other)


# Changes


def changed(accounts: AccountFile) -> bool:
    before = accounts.change_counter()
    settle(accounts.change_counter)
    return accounts.change_counter() != before


def test_a_new_password_or_role_or_a_line_taken_out_ends_what_was_issued_before_and_nothing_else(
    shared: AccountFile, path: Path
) -> None:
    root, ann = path.read_text().splitlines()
    mine, other = session_of(shared, "ann"), session_of(shared, "root")
    for after in (line("ann", "analyst"), ann.replace("analyst", "admin"), "# " + ann, ann.replace("ann", "anne")):
        write(path, root, after)
        assert changed(shared)
        assert shared.sessions.find(mine) is None
        assert shared.sessions.find(other) is not None
    write(path, ann, "", root)  # as it was, at another place
    assert changed(shared)
    assert shared.sessions.find(mine) is not None


def test_another_server_with_the_same_file_knows_what_this_one_issued(shared: AccountFile, path: Path) -> None:
    opened = shared.sign_in("ann", PASSWORD, 0.0)
    assert opened is not None
    assert AccountFile(path).sessions.find(opened.session.id) == opened.session


def test_a_file_that_becomes_bad_changes_nothing(shared: AccountFile, path: Path) -> None:
    mine = session_of(shared, "ann")
    for after in (["nonsense"], [], [line("ann"), line("ann")]):
        write(path, *after)
        assert not changed(shared)
        assert shared.sessions.find(mine) is not None


def test_the_password_of_an_account_that_is_changed_while_it_is_checked_gives_what_is_refused(
    shared: AccountFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(stored: str, password: str) -> bool:
        write(path, line("root", "admin"), line("ann", "scorer", "another horse"))
        assert changed(shared)
        return True

    monkeypatch.setattr(account_file, "verify_password", check)
    opened = shared.sign_in("ann", PASSWORD, 0.0)
    assert opened is not None
    assert shared.sessions.find(opened.session.id) is None


def test_who_signs_in_while_the_file_is_swapped_gets_in_by_one_of_its_versions(shared: AccountFile, path: Path) -> None:
    """Passwords are checked in threads, the file is looked at on the event loop."""
    done = threading.Event()
    failures: list[object] = []

    def sign_in() -> None:
        while not done.is_set():
            if shared.sign_in("root", PASSWORD, 0.0) is None:
                failures.append("root")
            opened = shared.sign_in("ann", PASSWORD, 0.0)
            if opened is not None and opened.session.account != "ann":
                failures.append(opened)

    threads = [threading.Thread(target=sign_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    root = line("root", "admin")
    for i in range(50):
        write(path, root, *([line("ann")] if i % 2 else []))
        settle(shared.change_counter)
    done.set()
    for thread in threads:
        thread.join()
    assert (failures, shared.change_counter()) == ([], 50)


# What is not there


def test_accounts_are_changed_in_the_file_alone(shared: AccountFile, path: Path) -> None:
    before = path.read_bytes()
    changes: list[Callable[[], object]] = [
        lambda: shared.add("bob", "scorer", PASSWORD, 0.0),
        lambda: shared.remove("ann"),
        lambda: shared.set_password("ann", PASSWORD),
    ]
    for change in changes:
        with pytest.raises(AccountError) as refusal:
            change()
        assert refusal.value.explanation.startswith("The accounts are kept in a file")
    assert path.read_bytes() == before


def test_there_are_no_refresh_tokens(shared: AccountFile) -> None:
    with pytest.raises(NoRefreshTokens):
        shared.sessions.rotate("token", 0.0)
    with pytest.raises(NoRefreshTokens):
        shared.sessions.revoke("token")


def test_an_account_that_is_not_there_gets_nothing(shared: AccountFile) -> None:
    for name in ("bob", PEER.account, ""):
        with pytest.raises(AccountError, match="unknown"):
            shared.open_session(name, 0.0)


def test_the_peer_is_no_account(shared: AccountFile) -> None:
    assert not is_name(PEER.account)
    assert shared.sign_in(PEER.account, PASSWORD, 0.0) is None
    assert PEER.account not in [account.name for account in shared.list()]


# Time


def test_an_unknown_name_costs_as_much_as_an_account_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the time is measured but the hash that is checked: that of a line, and for a name always the same."""
    costs = [argon2.PasswordHasher(time_cost=t, memory_cost=8, parallelism=1).hash(PASSWORD) for t in (1, 2, 3)]
    path = write(tmp_path / "accounts", *(f"user{i}:scorer:{hashed}" for i, hashed in enumerate(costs)))
    accounts = AccountFile(path)
    checked: list[str] = []

    def check(stored: str, password: str) -> bool:
        checked.append(stored)
        return True  # even if the guess fits the line that stands in

    monkeypatch.setattr(account_file, "verify_password", check)
    names = [f"nobody{i}" for i in range(60)]
    assert all(accounts.sign_in(name, PASSWORD, 0.0) is None for name in names * 2)
    assert checked[:60] == checked[60:]
    assert {checked.count(hashed) > 20 for hashed in costs} == {True}
