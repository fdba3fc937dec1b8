"""Accounts in a file that several servers share: who may sign in, with which role.

Owns the format of its lines, `name:role:argon2id-hash`, and the promise that a token ends with the line it was issued
for. Must not know access tokens or HTTP.

Nothing is kept of a sign-in. In place of a session a token names its account's line as it is at the time, by a digest
of name, role and password hash: any server with the same file can check it, and one whose line was changed or taken out
is refused. So there are no refresh tokens: whether one was used before could be known to one server only.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final, NoReturn, cast

from auth.api_keys import NoKeys
from auth.audit import NoAudit
from auth.errors import AccountError, NoRefreshTokens
from auth.limits.limit import NoLimits
from auth.limits.usage import NoUsage
from auth.offload import at_once
from auth.passwords import check_new_password, hash_password, is_hash, verify_password
from auth.policy import NoPolicy
from auth.principal import ROLES, Allowance, Role
from auth.secret_file import SecretFile
from auth.sessions import PEER, Opened, Session
from auth.store import Account, AccountChange, is_name

_MOST_FAULTS_TOLD: Final = 10


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file."""

    name: str
    role: Role
    password: str

    @property
    def session(self) -> Session:
        """What stands in for a session: an id made of the account's line.

        Its dot keeps it apart from the ids of a database. The id is a digest that stands in every token. It gives no
        password away: only who knows the salt could try a guess.
        """
        digest = hashlib.sha256(f"tandem account {self}".encode()).hexdigest()
        return Session(f"line.{digest}", self.name, self.role, inf)

    def __str__(self) -> str:
        return f"{self.name}:{self.role}:{self.password}"


@dataclass(frozen=True, slots=True)
class Lines:
    """All that a file of accounts says.

    It never changes, so a thread that checks a password is not overtaken by a newer file.
    """

    by_name: dict[str, Line]
    sessions: dict[str, Session]


class LineSessions:
    """The lines of the file, asked as if they were sessions."""

    def __init__(self, file: SecretFile[Lines]) -> None:
        self._file = file

    def find(self, session: str) -> Session | None:
        """The session that a token names, if the account's line is still as it was when the token was signed."""
        return PEER if session == PEER.id else self._file.value.sessions.get(session)

    def rotate(self, refresh_token: str, now: float) -> NoReturn:
        """Refuse: a file of accounts has no refresh tokens."""
        raise NoRefreshTokens

    def revoke(self, refresh_token: str) -> NoReturn:
        """Refuse: a file of accounts has no refresh tokens."""
        raise NoRefreshTokens


class AccountFile:
    """The accounts of one file. They are changed by whoever writes the file."""

    def __init__(self, path: Path) -> None:
        self._file = SecretFile(path, parse)
        self.sessions: Final = LineSessions(self._file)
        self.console: Final = None
        self.keys: Final = NoKeys()
        self.policy: Final = NoPolicy()
        self.limits: Final = NoLimits()
        self.usage: Final = NoUsage()
        self.audit: Final = NoAudit()
        self.look: Final = at_once

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def list(self) -> tuple[Account, ...]:
        """Every account, by name."""
        lines = self._file.value.by_name
        return tuple(Account(name, lines[name].role) for name in sorted(lines))

    def find(self, name: str) -> Account | None:
        """The account of this name."""
        line = self._file.value.by_name.get(name)
        return Account(line.name, line.role) if line is not None else None

    def groups(self, name: str) -> tuple[str, ...]:
        """The groups of an account: a file of accounts has none."""
        return ()

    def allowances(self, name: str, role: str, groups: Iterable[str] = ()) -> tuple[Allowance, ...]:
        """What a role allows: a file of accounts has no grants."""
        return self.policy.allowances(name, role, groups)

    def add(self, name: str, role: str, password: str, now: float) -> NoReturn:
        """Refuse: a file of accounts is changed by whoever writes it."""
        raise AccountError("in_file")

    def add_service(self, name: str, role: str, now: float) -> NoReturn:
        """Refuse: a file of accounts is changed by whoever writes it."""
        raise AccountError("in_file")

    def change(self, name: str, change: AccountChange) -> NoReturn:
        """Refuse: a file of accounts is changed by whoever writes it."""
        raise AccountError("in_file")

    def remove(self, name: str) -> NoReturn:
        """Refuse: a file of accounts is changed by whoever writes it."""
        raise AccountError("in_file")

    def set_password(self, name: str, password: str, but: str = "") -> NoReturn:
        """Refuse: a file of accounts is changed by whoever writes it."""
        raise AccountError("in_file")

    def end_sessions(self, name: str) -> NoReturn:
        """Refuse: a file of accounts is changed by whoever writes it."""
        raise AccountError("in_file")

    def sign_in(self, name: str, password: str, now: float) -> Opened | None:
        """What a token needs, if the password fits. An unknown name takes as long as a known one."""
        line = self._checked(name, password)
        return Opened(line.session) if line is not None else None

    def check(self, name: str, password: str) -> Account | None:
        """The account, if the password fits. An unknown name takes as long as a known one."""
        line = self._checked(name, password)
        return Account(line.name, line.role) if line is not None else None

    def _checked(self, name: str, password: str) -> Line | None:
        lines = self._file.value.by_name
        line = lines.get(name)
        # The costs of hashes differ between lines. An unknown name is checked against a line chosen by the name, so
        # that the time neither shows that it is unknown nor differs between attempts.
        checked = line or list(lines.values())[zlib.crc32(name.encode(errors="replace")) % len(lines)]
        fits = verify_password(checked.password, password)
        return line if fits else None

    def open_session(self, name: str, now: float) -> Opened:
        """What a token needs, without a password: for a caller that may read the files."""
        line = self._file.value.by_name.get(name)
        if line is None:
            raise AccountError("unknown")
        return Opened(line.session)

    def away_s(self) -> float:
        """Always 0: where a file cannot be read, what it held before stays in force."""
        return 0.0

    def change_counter(self) -> int:
        """Look at the file. The number differs from the one before if the file says something else."""
        self._file.look()
        return self._file.changes

    def ended_sessions(self) -> Sequence[str]:
        """None: signing out is nothing that a file could hold."""
        return ()


def new_line(name: str, role: Role, password: str) -> str:
    """A line for the file of accounts, with the password hashed."""
    if not is_name(name):
        raise AccountError("bad_name")
    check_new_password(name, password)
    return str(Line(name, role, hash_password(password)))


def parse(raw: bytes) -> Lines:
    """Read a file; raise ValueError with every fault by its line's number, and nothing of what the line says."""
    lines: dict[str, Line] = {}
    faults = []
    for number, text in _lines_with_text(raw):
        name, role, password = (*text.split(":", 2), "", "")[:3]
        fault = _fault(name, role, password) or ("its name is there before" if name in lines else None)
        if fault:
            faults.append(f"line {number}: {fault}")
        else:
            lines[name] = Line(name, cast(Role, role), password)
    if faults:
        more = len(faults) - _MOST_FAULTS_TOLD
        raise ValueError("; ".join(faults[:_MOST_FAULTS_TOLD]) + (f"; and {more} more" if more > 0 else ""))
    if not lines:
        raise ValueError("there is no account in it")
    return Lines(lines, {line.session.id: line.session for line in lines.values()})


def _lines_with_text(raw: bytes) -> Iterator[tuple[int, str]]:
    """The lines that are neither empty nor comments, each with its number."""
    for number, text in enumerate(raw.decode(errors="replace").split("\n"), 1):
        stripped = text.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _fault(name: str, role: str, password: str) -> str | None:
    if not password:
        return "it is not name:role:hash"
    if not is_name(name):
        return "its name is not 1 to 64 of A-Z a-z 0-9 . _ @ - beginning with a letter or a digit"
    if role not in ROLES:
        return f"its role is not one of {', '.join(ROLES)}"
    if not is_hash(password):
        return "its hash is not one of argon2id, as `tandem users hash` makes it"
    return None
