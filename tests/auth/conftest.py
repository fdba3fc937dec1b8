"""What several tests of auth stand on: a real database in a folder of its own, a file of accounts, and their parts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import argon2
import pytest

from auth.account_file import AccountFile
from auth.accounts import Accounts
from auth.tokens import Tokens

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def line(name: str, role: str = "scorer", password: str = "correct horse") -> str:
    """A line of a file of accounts whose password is checked in no time."""
    return f"{name}:{role}:{CHEAP.hash(password)}"


def write(path: Path, *lines: str) -> Path:
    """Write a file of secrets whole, as Kubernetes and careful people do."""
    part = path.with_name(path.name + ".part")
    part.write_text("".join(f"{text}\n" for text in lines))
    part.chmod(0o440)
    return part.rename(path)


def settle(look: Callable[[], object]) -> None:
    """Look as often as it takes until a change that is there counts."""
    for _ in range(3):
        look()


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    opened = Accounts(tmp_path / "accounts.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def elsewhere(accounts: Accounts, tmp_path: Path) -> Iterator[Accounts]:
    """The same accounts as another process sees them."""
    opened = Accounts(tmp_path / "accounts.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of accounts: root, an admin, and ann, an analyst."""
    return write(tmp_path / "accounts", line("root", "admin"), line("ann", "analyst"))


@pytest.fixture
def shared(path: Path) -> AccountFile:
    return AccountFile(path)


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(bytes(range(32)))
