"""What lies in the data folder where accounts are in a database that servers share."""

import asyncio
from pathlib import Path
from threading import Thread

import pytest

from auth.errors import AccountsUnavailable, SetupError, Unauthenticated
from auth.setup import issue_for, open_auth, prepare
from tests.auth.conftest import write
from tests.harness.postgresql import PostgresServer
from tests.harness.tandem import eventually


@pytest.fixture
def url(postgresql: PostgresServer) -> str:
    return postgresql.url(postgresql.emptied())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write(tmp_path / "token.key", "k" * 32)


def test_servers_that_start_first_at_once_make_one_admin_and_keep_its_password_once(
    tmp_path: Path, url: str, key: Path
) -> None:
    written: list[Path | None] = []

    def start(folder: Path) -> None:
        written.append(prepare(folder, 5.0, key_file=key, database=url))

    threads = [Thread(target=start, args=(tmp_path / f"{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [password_file] = filter(None, written)
    assert list(tmp_path.glob("*/admin-password")) == [password_file]
    assert len(written) == 4
    assert not list(tmp_path.glob("*/signing.key")) and not list(tmp_path.glob("*/accounts.sqlite"))
    auth = open_auth(tmp_path / "0", key_file=key, database=url)
    assert auth.accounts.check("admin", password_file.read_text()) is not None
    auth.close()


def test_a_database_alone_stops_the_start_for_each_server_would_have_a_key_of_its_own(tmp_path: Path, url: str) -> None:
    with pytest.raises(SetupError, match=r"need a token key that comes from a file too \(TANDEM_TOKEN_KEY\)"):
        prepare(tmp_path / "data", 5.0, database=url)


def test_nothing_is_asked_of_the_database_on_the_event_loop(
    tmp_path: Path, url: str, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, 5.0, key_file=key, database=url)
    token = issue_for(tmp_path, "admin", 1000.0, key_file=key, database=url)
    auth = open_auth(tmp_path, clock=lambda: 1001.0, key_file=key, database=url, watched=True)
    asked: list[bool] = []

    def read(query: str, *values: object) -> list[object]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asked.append(False)
        else:
            asked.append(True)
        return original(query, *values)

    database = auth.accounts._database  # type: ignore[attr-defined]
    original = database.read
    monkeypatch.setattr(database, "read", read)

    async def ask() -> None:
        auth.authenticator.forget_if_changed()
        headers = {b"authorization": b"Bearer " + token.encode()}
        assert (await auth.authenticator.authenticate(headers, "")).name == "admin"
        for header in (b"Bearer tdm_" + b"0" * 46, b"Basic a2V5OnRkbV8="):
            with pytest.raises(Unauthenticated):
                await auth.authenticator.authenticate({b"authorization": header}, "")
        with pytest.raises(Unauthenticated):
            cookie = {b"cookie": b"__Host-tandem=x", b"sec-fetch-site": b"same-origin"}
            await auth.authenticator.authenticate(cookie, "")

    asyncio.run(ask())
    auth.close()
    assert asked and not any(asked)


def test_a_web_process_starts_while_the_database_is_away_and_recognises_people_later(
    tmp_path: Path, postgresql: PostgresServer, key: Path
) -> None:
    name = postgresql.make()
    url = postgresql.url(name)
    prepare(tmp_path, 5.0, key_file=key, database=url)
    token = issue_for(tmp_path, "admin", 1000.0, key_file=key, database=url)
    postgresql.execute(f"ALTER DATABASE {name} RENAME TO {name}_away")
    auth = open_auth(tmp_path, clock=lambda: 1001.0, key_file=key, database=url, watched=True)
    headers = {b"authorization": b"Bearer " + token.encode()}

    def recognised() -> bool:
        auth.authenticator.forget_if_changed()
        try:
            return asyncio.run(auth.authenticator.authenticate(headers, "")).name == "admin"
        except AccountsUnavailable:
            return False

    assert not recognised()
    eventually(lambda: auth.accounts.away_s() > 0)
    postgresql.execute(f"ALTER DATABASE {name}_away RENAME TO {name}")
    eventually(recognised, 20)
    assert auth.accounts.away_s() == 0
    auth.close()
