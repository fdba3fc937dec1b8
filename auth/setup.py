"""The data folder: the signing key, the accounts, the first admin.

Owns what lies in the folder and who may read it, and puts the parts of auth together. Must not know settings or HTTP.
`prepare` runs once, before any web process; `open_auth` runs in each web process, after it was forked.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from auth.accounts import Accounts
from auth.authenticator import Authenticator, ignore
from auth.errors import Reason, SetupError
from auth.login import Login
from auth.tokens import Tokens

_KEY_FILE: Final = "signing.key"
_ACCOUNTS_FILE: Final = "accounts.sqlite"
_PASSWORD_FILE: Final = "admin-password"
_LOCK_FILE: Final = "lock"


@dataclass(frozen=True, slots=True)
class Auth:
    """Everything a web process needs to know who is asking."""

    accounts: Accounts
    tokens: Tokens
    authenticator: Authenticator
    login: Login
    clock: Callable[[], float]

    def close(self) -> None:
        """Finish what runs and close the database."""
        self.login.close()
        self.accounts.close()


def prepare(data_dir: Path, now: float) -> Path | None:
    """Make the folder ready; raise `SetupError` if it cannot be.

    Returns:
        Where the new admin's password was written, if this was the first start.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(data_dir):
            if not (data_dir / _KEY_FILE).exists():
                _write(data_dir / _KEY_FILE, secrets.token_urlsafe(48))
            _tokens(data_dir)  # a key that will not do stops us here, not in a web process
            with closing(Accounts(data_dir / _ACCOUNTS_FILE)) as accounts:
                return None if accounts.list() else _add_admin(accounts, data_dir / _PASSWORD_FILE, now)
    except OSError as problem:
        raise SetupError(
            f"{data_dir} cannot be used: {problem}. Name a folder that this user may write to."
        ) from problem


def open_auth(
    data_dir: Path, clock: Callable[[], float] = time.time, on_failure: Callable[[Reason], None] = ignore
) -> Auth:
    """Build everything for one web process."""
    tokens = _tokens(data_dir)
    accounts = Accounts(data_dir / _ACCOUNTS_FILE)
    return Auth(
        accounts,
        tokens,
        Authenticator(accounts, tokens, clock, on_failure),
        Login(accounts, tokens, clock, on_failure),
        clock,
    )


def issue_for(data_dir: Path, name: str, now: float) -> str:
    """An access token for an account, for whoever may read the key. It ends with the account's other sessions."""
    tokens = _tokens(data_dir)
    with closing(Accounts(data_dir / _ACCOUNTS_FILE)) as accounts:
        session = accounts.open_session(name, now).session
    return tokens.issue(session.account, session.role, session.id, now)


def _add_admin(accounts: Accounts, password_file: Path, now: float) -> Path:
    password = secrets.token_urlsafe(18)
    _write(password_file, password)  # first: an account whose password nobody has would be worse
    accounts.add("admin", "admin", password, now)
    return password_file


def _tokens(data_dir: Path) -> Tokens:
    path = data_dir / _KEY_FILE
    try:
        # Others, not the group: at each mount the kubelet gives files of an fsGroup volume back to the group
        # (SetVolumeOwnership, rwMask 0660), and that group is the pod's own.
        if path.stat().st_mode & 0o007:
            raise SetupError(
                f"{path} can be read by other users, so it may be known to them. Delete it to get a new key"
                " (every access token ends with the old one), or if you are sure nobody has read it: chmod 600."
            )
        return Tokens(path.read_bytes().strip())
    except OSError as problem:
        raise SetupError(f"{path} cannot be read: {problem}. Start the server once, as this user.") from problem
    except ValueError as problem:
        raise SetupError(f"{path} will not do: {problem}. Delete it to get a new one.") from problem


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two first starts at once must not make two keys or two admins."""
    lock = os.open(folder / _LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _write(path: Path, text: str) -> None:
    """Write a secret whole or not at all, never readable by anybody else."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
