"""The `tandem` command: what it prints and with which code it ends."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import httpx
import pytest

from tests.harness.tandem import Tandem


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TANDEM_PORT", "eight", "TANDEM_PORT (port of the API)"),
        ("TANDEM_R_WORKERS", "0", "TANDEM_R_WORKERS"),
        ("TANDEM_DOCS", "maybe", "'open', 'login' or 'off'"),
        ("TANDEM_PROT", "8000", "unknown setting TANDEM_PROT; known are TANDEM_HOST"),
    ],
)
def test_a_bad_setting_refuses_to_start_with_code_3(tandem: Tandem, name: str, value: str, words: str) -> None:
    server = Tandem(tandem.folder / "bad")
    server.environment[name] = value
    done = server.command("serve")
    assert done.returncode == 3
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_start_makes_an_admin_with_a_password_nobody_else_can_read(tandem: Tandem) -> None:
    data = tandem.folder / "data"
    for name in ("signing.key", "admin-password", "accounts.sqlite"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600, name
    [line] = [one for one in tandem.log_lines() if "password of admin" in one["message"]]
    assert line["file"] == str(data / "admin-password")
    form = {"grant_type": "password", "username": "admin", "password": (data / "admin-password").read_text().strip()}
    granted = httpx.post(f"{tandem.url}/auth/token", data=form).json()
    me = httpx.get(f"{tandem.url}/auth/me", headers={"authorization": f"Bearer {granted['access_token']}"}).json()
    assert (me["name"], me["role"]) == ("admin", "admin")
    assert granted["expires_in"] == 3600


def test_accounts_are_added_listed_and_removed(tandem: Tandem) -> None:
    assert tandem.command("users", "add", "bea", "--role", "analyst", text="long enough\n").returncode == 0
    assert "bea\tanalyst" in tandem.command("users", "list").stdout.splitlines()
    twice = tandem.command("users", "add", "bea", text="long enough\n")
    assert (twice.returncode, "already" in twice.stderr) == (1, True)
    assert tandem.command("users", "remove", "bea").returncode == 0
    gone = tandem.command("token", "--user", "bea")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "Traceback" not in gone.stderr


@pytest.fixture
def sharing(tmp_path: Path) -> Tandem:
    """A server that is not running, whose accounts and key come from files."""
    server = Tandem(tmp_path, accounts=tmp_path / "accounts", token_key=tmp_path / "token.key")
    line = server.command("users", "hash", "ann", "--role", "analyst", text="long enough\n").stdout
    for name, text in (("accounts", line), ("token.key", "k" * 32)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(text)
    return server


def test_a_line_for_a_file_of_accounts_is_printed_and_nothing_is_made(tandem: Tandem) -> None:
    server = Tandem(tandem.folder / "hash")
    done = server.command("users", "hash", "ann", "--role", "analyst", text="long enough\n")
    assert done.returncode == 0
    assert re.fullmatch(r"ann:analyst:\$argon2id\$\S+\n", done.stdout)
    for bad in (["a:b", "--role", "scorer"], ["ann", "--role", "peer"], ["ann"]):
        refused = server.command("users", "hash", *bad, text="long enough\n")
        assert (refused.returncode != 0, refused.stdout) == (True, "")
        assert "Traceback" not in refused.stderr
    assert not (server.folder / "data").exists()


def test_accounts_in_a_file_are_listed_get_tokens_and_are_changed_in_the_file_alone(sharing: Tandem) -> None:
    assert sharing.command("users", "list").stdout == "ann\tanalyst\n"
    assert sharing.command("token", "--user", "ann").stdout.count(".") == 2
    assert sharing.command("token", "--user", "bob").returncode == 1
    for command in (["add", "bob"], ["remove", "ann"]):
        done = sharing.command("users", *command)
        assert (done.returncode, "The accounts are kept in a file" in done.stderr) == (1, True)
    assert not (sharing.folder / "data").exists()


def test_accounts_in_a_file_need_a_key_in_a_file(sharing: Tandem) -> None:
    del sharing.environment["TANDEM_TOKEN_KEY"]
    done = sharing.command("token", "--user", "ann")
    assert (done.returncode, "TANDEM_TOKEN_KEY" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr
