"""The `tandem` command."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TextIO

from auth.account_file import new_line
from auth.errors import AccountError, AuthError, ProviderRefusal, Unauthenticated
from auth.principal import ROLES
from auth.setup import Auth, issue_for, open_auth, prepare
from server import config, logs
from server.catalog.signatures import BadKeys
from server.config import ConfigError, Settings

EXIT_FAILED = 1
EXIT_BAD_SETTING = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code: 0 done, 1 failed, 2 wrong usage, 3 a bad setting."""
    parsed = _parser().parse_args(arguments)
    try:
        settings = config.load()
    except ConfigError as e:
        return _failed(str(e), EXIT_BAD_SETTING)
    if parsed.run is not _serve:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `tandem check FILE | head` ends quietly
    try:
        code: int = parsed.run(settings, parsed)
        return code
    except (ConfigError, BadKeys) as e:
        return _failed(str(e), EXIT_BAD_SETTING)
    except AuthError as e:
        return _failed(getattr(e, "explanation", None) or str(e))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tandem", description="Serve R and Python models behind one authenticated API.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve the models").set_defaults(run=_serve)
    check = commands.add_parser("check", help="what would happen if this model file were dropped into its folder")
    check.add_argument("file", type=Path)
    check.set_defaults(run=_check)
    sign = commands.add_parser("sign", help="sign a model, for servers that have the public key to verify it by")
    sign.add_argument("path", type=Path, help="a model file, or the folder of a version or a script")
    sign.add_argument("--key", type=Path, required=True, help="the private key (PEM); its password is asked for")
    sign.set_defaults(run=_sign)
    token = commands.add_parser("token", help="print an access token, for scripts on this machine")
    token.add_argument("--user", required=True)
    token.set_defaults(run=_token)
    users = commands.add_parser("users", help="manage accounts").add_subparsers(required=True, metavar="ACTION")
    add = users.add_parser("add", help="add an account; the password is asked for, or read from standard input")
    add.add_argument("name")
    add.add_argument("--role", choices=ROLES, default="scorer")
    add.set_defaults(run=_users_add)
    users.add_parser("list", help="list accounts").set_defaults(run=_users_list)
    remove = users.add_parser("remove", help="remove an account and end its sessions")
    remove.add_argument("name")
    remove.set_defaults(run=_users_remove)
    hashed = users.add_parser("hash", help="print a line for the file of accounts that several servers share")
    hashed.add_argument("name")
    hashed.add_argument("--role", choices=ROLES, required=True)
    hashed.set_defaults(run=_users_hash)
    identity = commands.add_parser("identity", help="look into identity providers").add_subparsers(
        required=True, metavar="ACTION"
    )
    checked = identity.add_parser("check", help="who a provider's access token is of, or which rule refuses it")
    checked.add_argument("token", help="the token, or - to read it from standard input")
    checked.set_defaults(run=_identity_check)
    return parser


def _serve(settings: Settings, _: argparse.Namespace) -> int:
    from server.supervisor.main import StartError, Supervisor

    logs.configure(settings.log_level)

    async def serve() -> int:
        return await Supervisor(settings, on_ready=_greet if sys.stderr.isatty() else None).run()

    try:
        return asyncio.run(serve())
    except StartError as e:
        return _failed(str(e))


def _greet(address: str) -> None:
    _say(f"\nTandem is ready: {address}/docs   (stop with Ctrl-C)\n", sys.stderr)


def _check(settings: Settings, parsed: argparse.Namespace) -> int:
    from server.check import check

    logs.configure("ERROR")
    verdict = asyncio.run(check(parsed.file, settings))
    _say(verdict.text)
    return 0 if verdict.accepted else EXIT_FAILED


def _sign(_: Settings, parsed: argparse.Namespace) -> int:
    from server.catalog.signatures import SignError, sign

    try:
        signature, covered = sign(parsed.path, parsed.key, _password)
    except SignError as e:
        return _failed(str(e))
    _say(f"{signature}: signs {', '.join(covered)}")
    return 0


def _token(settings: Settings, parsed: argparse.Namespace) -> int:
    _say(issue_for(settings.data, parsed.user, time.time(), settings.accounts, settings.token_key))
    return 0


def _users_add(settings: Settings, parsed: argparse.Namespace) -> int:
    if settings.accounts is not None:
        raise AccountError("in_file")  # before a password is asked for
    password = _password()
    prepare(settings.data, time.time(), key_file=settings.token_key)
    with closing(_auth(settings)) as auth:
        auth.accounts.add(parsed.name, parsed.role, password, time.time())
    return 0


def _users_list(settings: Settings, _: argparse.Namespace) -> int:
    with closing(_auth(settings)) as auth:
        for account in auth.accounts.list():
            _say(f"{account.name}\t{account.role}")
    return 0


def _users_remove(settings: Settings, parsed: argparse.Namespace) -> int:
    with closing(_auth(settings)) as auth:
        auth.accounts.remove(parsed.name)
    return 0


def _identity_check(settings: Settings, parsed: argparse.Namespace) -> int:
    from auth.credentials.providers import Providers

    if settings.identity is None:
        return _failed("TANDEM_IDENTITY names no file of identity providers")
    token = sys.stdin.read() if parsed.token == "-" else parsed.token
    try:
        found = asyncio.run(Providers(settings.identity).identity(token.strip(), time.time()))
    except ProviderRefusal as refusal:
        return _failed(f"{refusal.explanation} ({refusal})" if str(refusal) else refusal.explanation)
    except Unauthenticated as refusal:
        return _failed(f"refused: {refusal}")
    narrowed = "all that these allow" if found.narrowed is None else ", ".join(sorted(found.narrowed)) or "nothing"
    _say(f"{found.name}\t{found.kind} by {found.client}\troles: {', '.join(found.roles)}\tmay: {narrowed}")
    return 0


def _users_hash(_: Settings, parsed: argparse.Namespace) -> int:
    _say(new_line(parsed.name, parsed.role, _password()))
    return 0


def _auth(settings: Settings) -> Auth:
    return open_auth(settings.data, accounts_file=settings.accounts, key_file=settings.token_key)


def _password() -> str:
    return getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _say(text: str, to: TextIO | None = None) -> None:
    print(text, file=to or sys.stdout, flush=True)


def _failed(text: str, code: int = EXIT_FAILED) -> int:
    _say(f"tandem: {text}", sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
