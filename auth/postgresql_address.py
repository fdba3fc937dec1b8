"""Where a PostgreSQL is, and how one is spoken to safely.

Owns what an address may say: no password where others could read it, and TLS to any other machine. Must not know what
is asked there. An address is the setting itself or, where it has a password, the content of the file that it names.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from auth.errors import SetupError
from auth.secret_file import SecretFile

SCHEMES: Final = ("postgresql://", "postgres://")
_FORM: Final = "postgresql://USER:PASSWORD@HOST:5432/DATABASE, with %40 for an @ in the password"
_HOSTS: Final = re.compile(r"[A-Za-z0-9.:,_/-]+")
_PORTS: Final = re.compile(r"[0-9,]*")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_ENCRYPTED: Final = ("require", "verify-ca", "verify-full")
_AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")

_USUAL: Final = {
    "application_name": "tandem",
    "client_encoding": "UTF8",
    "connect_timeout": "3",
    "gssencmode": "disable",
    # Where several hosts are named, the one that can be written: not a copy that follows.
    "target_session_attrs": "read-write",
    # A server that is gone without a word is noticed by those who wait for nothing too.
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}


class Address:
    """The address that a setting stands for. It is read again at each use, so that a password can be replaced."""

    def __init__(self, setting: str) -> None:
        self._setting = setting
        self._file: SecretFile[dict[str, str]] | None = None
        if not setting.startswith(SCHEMES):
            self._file = SecretFile(Path(setting), _of_file, f"It has one line: {_FORM}.")
        else:
            try:
                self._parsed = _parse(setting)
            except ValueError as problem:
                raise SetupError(f"TANDEM_DATABASE will not do: {problem}.") from problem
            if "password" in self._parsed or "sslpassword" in self._parsed:
                raise SetupError(
                    "TANDEM_DATABASE has a password, which others on this machine could read there. Write the address"
                    " to a file that only this user can read, and set TANDEM_DATABASE to the path of the file."
                )

    def parameters(self) -> Mapping[str, str]:
        """The parameters of a connection."""
        if self._file is None:
            return self._parsed
        self._file.look()
        return self._file.value

    def __str__(self) -> str:
        """The address in words for people, without user and password."""
        found = self.parameters()
        hosts = found.get("host") or found["hostaddr"]
        return f"the database {found.get('dbname', found.get('user', ''))} at {hosts}"


def _of_file(raw: bytes) -> dict[str, str]:
    return _parse(raw.decode().strip())


def _parse(text: str) -> dict[str, str]:
    """The parameters of an address. Faults are told in our own words: those of libpq may quote the password."""
    if not text.startswith(SCHEMES) or len(text.split()) != 1:
        raise ValueError(f"it is no address of PostgreSQL, {_FORM}")
    try:
        found: dict[str, Any] = conninfo_to_dict(text)
    except ProgrammingError:
        raise ValueError(f"it cannot be read as {_FORM}") from None
    parsed = {name: str(value) for name, value in found.items() if value is not None}
    hosts = parsed.get("hostaddr") or parsed.get("host", "")
    if not hosts or "service" in parsed:
        raise ValueError(
            "it names no host; a folder of Unix sockets is one: postgresql:///DATABASE?host=/run/postgresql"
        )
    # What stands here may be a piece of a password whose signs were not written as %XX: it must not get into a message.
    if not _HOSTS.fullmatch(hosts) or not _PORTS.fullmatch(parsed.get("port", "")):
        raise ValueError(f"it cannot be read as {_FORM}")
    if not all(host in _LOOPBACK or host.startswith("/") for host in hosts.split(",")):
        parsed.setdefault("sslmode", "verify-full")
        if parsed["sslmode"] not in _ENCRYPTED:
            raise ValueError(f"sslmode is {' or '.join(_ENCRYPTED)} for another machine")
        if parsed["sslmode"] == "verify-full" and _AUTHORITIES.exists():
            parsed.setdefault("sslrootcert", str(_AUTHORITIES))
    return _USUAL | parsed
