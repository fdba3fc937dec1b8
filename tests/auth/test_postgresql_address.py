"""What an address of PostgreSQL may say, and where."""

import traceback
from contextlib import closing
from pathlib import Path

import pytest

from auth.errors import SetupError
from auth.postgresql import Postgresql
from auth.postgresql_address import Address
from tests.auth.conftest import write
from tests.harness.postgresql import PASSWORD, QUOTED, PostgresServer
from tests.k8s.tls import Authority

FAR = "postgresql://tandem@db.example.org/tandem"


def refusal(setting: str) -> str:
    with pytest.raises(SetupError) as refused:
        Address(setting)
    told = "".join(traceback.format_exception(refused.value))
    assert "s3cret" not in told
    return str(refused.value)


@pytest.mark.parametrize("url", ["postgresql://a:s3cret@localhost/d", "postgres://localhost/d?password=s3cret"])
def test_a_password_in_the_setting_is_refused_with_where_it_belongs(url: str) -> None:
    assert "set TANDEM_DATABASE to the path of the file" in refusal(url)


def test_a_file_has_the_address_with_its_password(postgresql: PostgresServer, tmp_path: Path) -> None:
    name = postgresql.emptied()
    path = write(tmp_path / "database.url", postgresql.url_with_password(name))
    with closing(Postgresql(str(path))) as database:
        assert database.read("SELECT current_user") == [("tandem",)]
    assert str(Address(str(path))) == f"the database {name} at 127.0.0.1"


def test_a_wrong_password_is_told_without_it(postgresql: PostgresServer, tmp_path: Path) -> None:
    path = write(tmp_path / "database.url", f"postgresql://tandem:s3cret@127.0.0.1:{postgresql.port}/postgres")
    with pytest.raises(SetupError, match="password authentication failed") as refused:
        Postgresql(str(path))
    told = "".join(traceback.format_exception(refused.value))
    assert "s3cret" not in told and PASSWORD not in told and QUOTED not in told


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "database.url", FAR)
    path.chmod(0o644)
    assert "can be read by other users" in refusal(str(path))


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "mysql://a:s3cret@h/d", "postgresql://a:s3cret@h:port/d", "postgresql://a:s3cret%zz@h/d", "postgresql://a:b@s3cret@h/d",
     "postgresql://a:s3cret@h/d?nonsense=1", "postgresql://a:s3cret@localhost/d two", "postgresql:///d",
     "postgresql://a:s3cret@/d?service=x"],
)  # fmt: skip
def test_what_is_no_address_is_told_without_the_password(tmp_path: Path, text: str) -> None:
    assert "postgresql://" in refusal(str(write(tmp_path / "database.url", text)))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(str(tmp_path / "none"))


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_another_machine_is_spoken_to_by_tls_alone(mode: str) -> None:
    assert "sslmode is require or verify-ca or verify-full" in refusal(f"{FAR}?sslmode={mode}")
    far = "postgresql://tandem@localhost,db.example.org/tandem"
    assert "for another machine" in refusal(f"{far}?sslmode={mode}")


def test_where_nothing_is_said_the_name_of_another_machine_is_checked_too() -> None:
    assert Address(FAR).parameters()["sslmode"] == "verify-full"
    assert Address(f"{FAR}?sslmode=require").parameters()["sslmode"] == "require"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "%2Frun%2Fpostgresql"])
def test_this_machine_needs_no_tls(host: str) -> None:
    assert "sslmode" not in Address(f"postgresql://tandem@{host}/tandem").parameters()


def test_tls_that_is_asked_for_is_not_done_without(postgresql: PostgresServer) -> None:
    url = f"postgresql://tandem@localhost:{postgresql.port}/postgres?hostaddr=127.0.0.1&sslmode=require"
    with pytest.raises(SetupError, match="does not support SSL"):
        Postgresql(url)


def test_the_certificate_of_another_machine_is_checked_by_name_and_authority(
    postgresql: PostgresServer, tmp_path: Path
) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    made = ours.issue("db.example.org")

    def address(host: str, authority: Authority) -> str:
        more = f"hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={authority.path}"
        url = f"postgresql://tandem:{QUOTED}@{host}:{postgresql.port}/postgres?{more}"
        return str(write(tmp_path / "database.url", url))

    name = postgresql.emptied()
    with postgresql.tls(made.chain, made.key):
        for host, authority, fault in (
            ("other.example.org", ours, "does not match host name"),
            ("db.example.org", theirs, "SSL error"),
        ):
            with pytest.raises(SetupError, match=fault):
                Postgresql(address(host, authority))
        good = address("db.example.org", ours)
        write(tmp_path / "database.url", Path(good).read_text().replace("/postgres?", f"/{name}?").strip())
        with closing(Postgresql(good)) as database:
            assert database.read("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
