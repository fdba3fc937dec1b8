"""What several tests of auth stand on: a real database in a folder of its own, and its parts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from auth.accounts import Accounts
from auth.tokens import Tokens


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
def tokens() -> Tokens:
    return Tokens(bytes(range(32)))
