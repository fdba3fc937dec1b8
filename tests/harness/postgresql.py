"""A real PostgreSQL for tests: on loopback and in a folder of sockets, with nothing kept beyond the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from auth.accounts import Accounts
from tests.harness.tandem import descendants, eventually, free_port

USER, PASSWORD = "tandem", "s3cret/w@rd:with%signs"
QUOTED = "s3cret%2Fw%40rd%3Awith%25signs"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200", "autovacuum=off")

_EMPTY = """DO $$ DECLARE name text; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        IF name = 'revocations' THEN UPDATE revocations SET count = 0;
        ELSIF name = 'usage_ticks' THEN UPDATE usage_ticks SET tick = 0;
        ELSIF name = 'endpoint_changes' THEN UPDATE endpoint_changes SET count = 0;
        ELSIF name <> 'schema_version' THEN EXECUTE format('DELETE FROM %I', name);
        END IF;
    END LOOP;
END $$"""
"""Quicker than a new database for each test by a tenth of a second and more."""


class PostgresServer:
    """A server of PostgreSQL, and the databases that tests ask for."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))  # not pytest's: another user has to reach it
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count()
        self._kept = ""
        self._kept_shape: list[Any] = []
        self._who = _other_user()
        if self._who:
            shutil.chown(self.folder, self._who, self._who)
        self._programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self._initialise()
        self.start()

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        command = [str(self._programs / "initdb"), "-D", str(self.folder / "data"), "-U", USER, "--no-sync"]
        command += ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"]
        done = subprocess.run([*command, "--locale=C.UTF-8"], user=self._who, cwd="/", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        ends_with_us = ["setpriv", "--pdeathsig", "QUIT"]  # also where the tests are killed
        command = [
            *ends_with_us,
            str(self._programs / "postgres"),
            "-D",
            str(self.folder / "data"),
            "-k",
            str(self.folder),
        ]
        command += ["-h", "127.0.0.1", "-p", str(self.port)]
        for setting in _FAST:
            command += ["-c", setting]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(command, user=self._who, cwd="/", stdout=log, stderr=log)
        log.close()
        eventually(self._answers, 60)

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop at once, as if the machine had died; what was committed stays."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def end(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def freeze(self) -> None:
        """It takes connections still, as its machine does, and says nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)  # first: what it starts from now on would not be stopped
        for pid in descendants(self._process.pid):
            os.kill(pid, number)

    @contextmanager
    def tls(self, chain: Path, key: Path) -> Iterator[None]:
        """It has a certificate meanwhile."""
        for made in (shutil.copy(chain, self.folder / "server.crt"), shutil.copy(key, self.folder / "server.key")):
            made.chmod(0o600)
            if self._who:
                shutil.chown(made, self._who, self._who)
        self.execute(f"ALTER SYSTEM SET ssl_cert_file = '{self.folder}/server.crt'")
        self.execute(f"ALTER SYSTEM SET ssl_key_file = '{self.folder}/server.key'")
        self._set_tls("on")
        try:
            yield
        finally:
            self._set_tls("off")

    def _set_tls(self, mode: str) -> None:
        self.execute(f"ALTER SYSTEM SET ssl = {mode}")
        self.execute("SELECT pg_reload_conf()")
        eventually(lambda: self.execute("SHOW ssl") == [(mode,)])

    def execute(self, query: str, database: str = "postgres") -> list[Any]:
        with psycopg.connect(self.url(database), autocommit=True) as db:
            done = db.execute(query.encode())
            return done.fetchall() if done.description else []

    def make(self) -> str:
        """The name of a database that is new and empty."""
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def emptied(self) -> str:
        """The name of a database that has today's schema and no rows; the one of the last test, if that left it so."""
        if not self._kept or self._shape(self._kept) != self._kept_shape:
            self._kept = self.make()
            Accounts(self.url(self._kept)).close()
            self._kept_shape = self._shape(self._kept)
        self.execute(_EMPTY, self._kept)
        return self._kept

    def _shape(self, database: str) -> list[Any]:
        query = "SELECT (SELECT version FROM schema_version), count(*) FROM pg_trigger WHERE tgenabled = 'O'"
        return self.execute(query, database)

    def url(self, database: str) -> str:
        """The address without a password."""
        return f"postgresql://{USER}@:{self.port}/{database}?host={self.folder}"

    def url_with_password(self, database: str) -> str:
        return f"postgresql://{USER}:{QUOTED}@127.0.0.1:{self.port}/{database}"


def _other_user() -> str | None:
    """Who runs it: it refuses to be root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
