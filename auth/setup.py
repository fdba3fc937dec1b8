"""Where the accounts and the keys are, and the parts of auth put together.

Owns what lies in the data folder (the signing key, the accounts, the first admin) and who may read it; and that files
which several servers share take its place. Must not know settings or HTTP. `prepare` runs once, before any web process;
`open_auth` runs in each web process, after it was forked.

`accounts_file` and `key_file` are alike in all of them: None is for what the data folder has.
"""

import asyncio
import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from auth.account_file import AccountFile
from auth.accounts import Accounts
from auth.audit import Act
from auth.authenticator import Authenticator, ignore
from auth.console_sessions import ConsoleStore
from auth.credentials.access_token import AccessTokens
from auth.credentials.api_key import ApiKeyCredentials
from auth.credentials.basic import BasicCredentials, Passwords
from auth.credentials.credential import Verifier
from auth.credentials.provider_token import ProviderTokens
from auth.credentials.providers import Providers
from auth.credentials.relayed import RelayedCallers, RelayTokens
from auth.credentials.session_cookie import SessionCookie
from auth.ending_keys import EndingKeys
from auth.endpoint_keys import EndpointKeys
from auth.errors import AccountError, Reason, SetupError
from auth.key_exchange import KeyExchange
from auth.key_file import KeyFileTokens
from auth.limits.cells import Cells
from auth.limits.limiter import Limiter
from auth.limits.rounds import Rounds
from auth.login import Login
from auth.refusals import Refusals
from auth.sealed_sessions import SealedSessions
from auth.sessions import PEER
from auth.store import AccountStore
from auth.tokens import Tokens
from auth.uses import Uses

SHOWS_ALL: Final = "Grants name models, but /docs and /openapi.json show every model to anybody: set TANDEM_DOCS=login."

log = logging.getLogger(__name__)

_KEY_FILE: Final = "signing.key"
ENDPOINT_KEY_FILE: Final = "endpoint.key"
ACCOUNTS_FILE: Final = "accounts.sqlite"
_PASSWORD_FILE: Final = "admin-password"
_LOCK_FILE: Final = "lock"

_PEER_TOKEN_LIFETIME_S: Final = 300  # as far as the clocks of servers may be apart


@dataclass(frozen=True, slots=True)
class Auth:
    """All of auth that a web process needs."""

    accounts: AccountStore
    tokens: Tokens
    authenticator: Authenticator
    login: Login
    uses: Uses
    ending: EndingKeys
    refusals: Refusals
    limiter: Limiter
    rounds: Rounds
    clock: Callable[[], float]
    console: ConsoleStore
    exchange: KeyExchange
    endpoint_keys: EndpointKeys
    relay_tokens: RelayTokens
    providers: Providers | None = None

    async def follow(self) -> None:
        """Keep the keys of identity providers up to date until cancelled."""
        if self.providers is not None:
            await self.providers.follow()

    def keep_books(self) -> None:
        """Have a thread write down which keys were used or end soon, who was refused, and what limits let through.

        To be called several times a second, on the event loop.
        """
        now = self.clock()
        if self.refusals.due(now):
            self.login.writing.start(self.refusals.take())
        if self.uses.due(now):
            self.login.writing.start(self.uses.take(now))
        if self.ending.due(now):
            self.login.writing.start(self.ending.take(now))
        if self.rounds.due() and not self.login.writing.start(self._round()):
            self.rounds.skip()

    def _round(self) -> Callable[[], None]:
        return self.rounds.take(asyncio.get_running_loop().call_soon_threadsafe)

    def close(self) -> None:
        """Finish the work that is running, and close the database."""
        self.login.close()
        self.uses.take(self.clock())()
        self.refusals.take()()
        self.rounds.finish()
        self.accounts.close()


class PeerTokens:
    """The tokens with which a server asks another one for its catalog. Both share accounts and keys."""

    def __init__(self, key_file: Path) -> None:
        self._tokens = KeyFileTokens(key_file, lifetime_s=_PEER_TOKEN_LIFETIME_S)

    def token(self, now: float) -> str:
        """A token that is signed with the keys as they are now."""
        self._tokens.change_counter()
        return self._tokens.issue(PEER.account, PEER.role, PEER.id, now)


def prepare(
    data_dir: Path,
    now: float,
    accounts_file: Path | None = None,
    key_file: Path | None = None,
    identity_file: Path | None = None,
    database: str | None = None,
    endpoint_key: Path | None = None,
    shows_all: bool = False,
) -> Path | None:
    """Make everything ready; raise `SetupError` if it cannot be.

    Where the documentation `shows_all` models to anybody, and grants name some, a line of the log says so.

    Returns: where the new admin's password was written, if this was the first start.
    """
    if identity_file is not None:
        Providers(identity_file)  # what will not do stops us here, not in a web process
    EndpointKeys(endpoint_key)
    if accounts_file is not None:  # nothing is ours to make
        _open(data_dir, accounts_file, key_file)
        return None
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(data_dir):
            if key_file is None and database is None and not (data_dir / _KEY_FILE).exists():
                _write(data_dir / _KEY_FILE, secrets.token_urlsafe(48))
            if key_file is None and database is None and not (data_dir / ENDPOINT_KEY_FILE).exists():
                _write(data_dir / ENDPOINT_KEY_FILE, secrets.token_urlsafe(48))
            # A key that will not do stops us here, not in a web process.
            with closing(_open(data_dir, accounts_file, key_file, database)[0]) as accounts:
                if shows_all and any("*" not in grant.models for grant in accounts.policy.grants()):
                    log.warning(SHOWS_ALL)
                return None if accounts.list() else _add_admin(accounts, data_dir / _PASSWORD_FILE, now)
    except OSError as problem:
        raise SetupError(
            f"{data_dir} cannot be used: {problem}. Name a folder that this user may write to."
        ) from problem


def open_auth(
    data_dir: Path,
    clock: Callable[[], float] = time.time,
    on_failure: Callable[[Reason], None] = ignore,
    accounts_file: Path | None = None,
    key_file: Path | None = None,
    identity_file: Path | None = None,
    basic: Passwords = "keys",
    passwords: bool = True,
    buckets_file: Path | None = None,
    database: str | None = None,
    watched: bool = False,
    endpoint_key: Path | None = None,
) -> Auth:
    """Build everything for one process. All of a server's have the same `buckets_file`, new at each start.

    A web process has its accounts `watched`: a database may be away at its start, and changes are noticed by a thread.
    """
    accounts, tokens = _open(data_dir, accounts_file, key_file, database, watched)
    providers = None if identity_file is None else Providers(identity_file)
    uses, ending = Uses(accounts.keys.note_uses), EndingKeys(accounts.keys.note_ending)
    refusals = Refusals(accounts.audit.write_all)

    def refused(reason: Reason, address: str, key: str = "") -> None:
        refusals.note(reason, address, clock(), key)

    login = Login(accounts, tokens, clock, on_failure, refused, passwords)
    ours = data_dir / ENDPOINT_KEY_FILE
    endpoint_keys = EndpointKeys(endpoint_key or (ours if key_file is None and ours.exists() else None))
    keys = ApiKeyCredentials(accounts, uses.note, endpoint_keys)
    exchange = KeyExchange(accounts, keys, tokens, login, clock, on_failure, refused)
    verifiers: list[Verifier] = [keys, BasicCredentials(accounts, keys, login, basic)]
    if providers is not None:
        verifiers.append(ProviderTokens(providers, accounts.policy, accounts.look))
    console = accounts.console or SealedSessions(accounts, tokens)
    verifiers += [
        RelayedCallers(accounts, console, tokens, endpoint_keys),
        AccessTokens(accounts, tokens, endpoint_keys),
    ]

    def change_counters() -> object:
        theirs = providers.change_counter() if providers is not None else None
        return accounts.change_counter(), tokens.change_counter(), theirs, endpoint_keys.changes

    cookie = SessionCookie(console, accounts.allowances, accounts.groups, lambda name: _has(providers, name))
    authenticator = Authenticator(
        *(verifiers, change_counters, clock, on_failure, refused),
        cookie=cookie,
        look=accounts.look,
        ended=accounts.ended_sessions,
    )
    cells = Cells(buckets_file)
    limiter = Limiter(cells, clock)
    rounds = Rounds(limiter, accounts.limits, accounts.usage, cells, clock)
    rounds.begin()
    return Auth(
        *(accounts, tokens, authenticator, login, uses, ending, refusals, limiter, rounds, clock),
        *(console, exchange, endpoint_keys, RelayTokens(tokens, clock), providers),
    )


def _has(providers: Providers | None, name: str) -> bool:
    return providers is not None and providers.by_name(name) is not None


def write_audit(
    act: Act,
    data_dir: Path,
    now: float,
    accounts_file: Path | None = None,
    key_file: Path | None = None,
    database: str | None = None,
) -> None:
    """Write a row of the audit about what the server itself did, for its supervisor."""
    accounts, _ = _open(data_dir, accounts_file, key_file, database)
    with closing(accounts):
        accounts.audit.write(act, now)


def issue_for(
    data_dir: Path,
    name: str,
    now: float,
    accounts_file: Path | None = None,
    key_file: Path | None = None,
    database: str | None = None,
) -> str:
    """An access token for an account: for a caller that may read the key. It ends with the account's other sessions."""
    accounts, tokens = _open(data_dir, accounts_file, key_file, database)
    with closing(accounts):
        session = accounts.open_session(name, now).session
    return tokens.issue(session.account, session.role, session.id, now)


def _open(
    data_dir: Path,
    accounts_file: Path | None,
    key_file: Path | None,
    database: str | None = None,
    watched: bool = False,
) -> tuple[AccountStore, Tokens]:
    if key_file is None and (accounts_file is not None or database is not None):
        raise SetupError(
            f"The accounts of {accounts_file or 'a database'} need a token key that comes from a file too"
            " (TANDEM_TOKEN_KEY): each server would sign with a key of its own, and refuse the tokens of the others."
        )
    tokens = _tokens(data_dir, key_file)
    if accounts_file is not None:
        return AccountFile(accounts_file), tokens
    return Accounts(data_dir / ACCOUNTS_FILE if database is None else database, watched=watched), tokens


def _add_admin(accounts: AccountStore, password_file: Path, now: float) -> Path | None:
    password = secrets.token_urlsafe(18)
    _write(password_file, password)  # first: an account whose password nobody has would be worse
    try:
        accounts.add("admin", "admin", password, now)
    except AccountError:  # another server, which shares the database, was quicker
        password_file.unlink()
        return None
    return password_file


def _tokens(data_dir: Path, key_file: Path | None) -> Tokens:
    if key_file is not None:
        return KeyFileTokens(key_file)
    ours = data_dir / _KEY_FILE
    if not os.access(ours, os.R_OK):
        raise SetupError(f"{ours} is not there, or not for this user to read. Start the server once, as this user.")
    return KeyFileTokens(ours, "Delete it to get a new key: every access token ends with the old one.")


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
    """Write a secret whole or not at all, readable by its owner alone."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
