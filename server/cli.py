"""The `tandem` command."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

from auth.account_file import new_line
from auth.api_keys import LONGEST_GRACE_S, SLOTS, USUAL_DAYS, Made
from auth.audit import Actor, act_as
from auth.copying import copy_accounts
from auth.errors import AccountError, AuthError, ProviderRefusal, Unauthenticated
from auth.key_text import PREFIX
from auth.principal import GRANTABLE, ROLES
from auth.setup import ACCOUNTS_FILE, Auth, issue_for, open_auth, prepare
from auth.store import narrowing
from server import audit_command, collect_command, config, endpoints_command, limits_command, logs, policy_command
from server.catalog.signatures import BadKeys
from server.config import ConfigError, Settings

COMMAND = "@command"
"""Who made a key on this machine, where no account is signed in. No account is called so."""
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
    check = commands.add_parser("check", help="what would happen if these model files were dropped into their folder")
    check.add_argument(
        "paths", type=Path, nargs="+", metavar="PATH", help="a model's file or folder, or all models of a folder"
    )
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
    add.add_argument("--role", default="scorer", help=f"{', '.join(ROLES)}, or one of your own")
    add.add_argument("--service", action="store_true", help="for a program: it has API keys and no password")
    add.set_defaults(run=_users_add)
    users.add_parser("list", help="list accounts").set_defaults(run=_users_list)
    remove = users.add_parser("remove", help="remove an account and end its sessions")
    remove.add_argument("name")
    remove.set_defaults(run=_users_remove)
    hashed = users.add_parser("hash", help="print a line for the file of accounts that several servers share")
    hashed.add_argument("name")
    hashed.add_argument("--role", choices=ROLES, required=True)
    hashed.set_defaults(run=_users_hash)
    accounts = commands.add_parser("accounts", help="move accounts").add_subparsers(required=True, metavar="ACTION")
    copy = accounts.add_parser("copy", help="copy all of the data folder's accounts to the database that servers share")
    copy.set_defaults(run=_accounts_copy)
    identity = commands.add_parser("identity", help="look into identity providers").add_subparsers(
        required=True, metavar="ACTION"
    )
    checked = identity.add_parser("check", help="who a provider's access token is of, or which rule refuses it")
    checked.add_argument("token", help="the token, or - to read it from standard input")
    checked.set_defaults(run=_identity_check)
    _add_keys(commands.add_parser("keys", help="manage API keys").add_subparsers(required=True, metavar="ACTION"))
    roles = commands.add_parser("roles", help="manage roles of your own").add_subparsers(
        required=True, metavar="ACTION"
    )
    policy_command.add_roles(roles, _on_accounts)
    grants = commands.add_parser("grants", help="give roles on some models")
    policy_command.add_grants(grants.add_subparsers(required=True, metavar="ACTION"), COMMAND, _on_accounts)
    limits = commands.add_parser("limits", help="manage how much accounts may ask for")
    limits_command.add_to(limits.add_subparsers(required=True, metavar="ACTION"), COMMAND, _on_accounts)
    endpoints = commands.add_parser("online-endpoint", help="manage endpoints, as az ml does")
    endpoints_command.add_endpoints(endpoints.add_subparsers(required=True, metavar="ACTION"), _on_files)
    deployments = commands.add_parser("online-deployment", help="manage what is behind endpoints, as az ml does")
    endpoints_command.add_deployments(deployments.add_subparsers(required=True, metavar="ACTION"), _on_files)
    apply = commands.add_parser("apply", help="have a server's endpoints be as YAML files say")
    endpoints_command.add_apply(apply, _on_files)
    collect = commands.add_parser("collect", help="what was recorded of models")
    collect_command.add_to(collect.add_subparsers(required=True, metavar="ACTION"), _on_files)
    audit = commands.add_parser("audit", help="read and check the audit")
    audit_command.add_to(audit.add_subparsers(required=True, metavar="ACTION"), _on_accounts)
    return parser


def _add_keys(keys: Any) -> None:
    add = keys.add_parser("add", help="make a pair of keys for an account, and print both")
    add.add_argument("owner")
    add.add_argument("--name", default="keys", help="what they are for")
    add.add_argument("--models", default="*", help="models, or beginnings and an asterisk: boston,mpg,risk-*")
    add.add_argument("--permissions", default="list,score", help=f"some of {', '.join(GRANTABLE)}")
    add.add_argument("--days", type=int, default=USUAL_DAYS, help="how long they are good")
    add.set_defaults(run=_keys_add)
    keys.add_parser("list", help="list keys, and when and from where each was used").set_defaults(run=_keys_list)
    regenerate = keys.add_parser("regenerate", help="replace one key of a pair, and print the new one")
    regenerate.add_argument("pair")
    regenerate.add_argument("slot", choices=SLOTS)
    regenerate.add_argument("--grace", type=int, default=0, metavar="SECONDS", help="how long the old one stays good")
    regenerate.add_argument("--days", type=int, default=USUAL_DAYS, help="how long the new one is good")
    regenerate.set_defaults(run=_keys_regenerate)
    remove = keys.add_parser("remove", help="remove a pair, or one key of it")
    remove.add_argument("pair")
    remove.add_argument("slot", choices=SLOTS, nargs="?")
    remove.set_defaults(run=_keys_remove)


def _serve(settings: Settings, _: argparse.Namespace) -> int:
    from server.supervisor.main import Supervisor
    from server.supervisor.start import StartError

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
    from server.check import check, each

    logs.configure("ERROR")
    accepted = True
    for path in each(parsed.paths, settings):
        verdict = asyncio.run(check(path, settings))
        _say(verdict.text)
        accepted = accepted and verdict.accepted
    return 0 if accepted else EXIT_FAILED


def _sign(_: Settings, parsed: argparse.Namespace) -> int:
    from server.catalog.signatures import SignError, sign

    try:
        signature, covered = sign(parsed.path, parsed.key, _password)
    except SignError as e:
        return _failed(str(e))
    _say(f"{signature}: signs {', '.join(covered)}")
    return 0


def _token(settings: Settings, parsed: argparse.Namespace) -> int:
    act_as(Actor(COMMAND, "command"))
    _say(issue_for(settings.data, parsed.user, time.time(), settings.accounts, settings.token_key, settings.database))
    return 0


def _users_add(settings: Settings, parsed: argparse.Namespace) -> int:
    if settings.accounts is not None:
        raise AccountError("in_file")  # before a password is asked for
    password = "" if parsed.service else _password()
    prepare(settings.data, time.time(), key_file=settings.token_key, database=settings.database)
    with closing(_auth(settings)) as auth:
        if parsed.service:
            auth.accounts.add_service(parsed.name, parsed.role, time.time())
        else:
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


def _accounts_copy(settings: Settings, _: argparse.Namespace) -> int:
    if settings.database is None:
        return _failed("TANDEM_DATABASE names no database to copy to")
    for table, rows in copy_accounts(settings.data / ACCOUNTS_FILE, settings.database).items():
        _say(f"{table}\t{rows}")
    return 0


def _users_hash(_: Settings, parsed: argparse.Namespace) -> int:
    _say(new_line(parsed.name, parsed.role, _password()))
    return 0


def _keys_add(settings: Settings, parsed: argparse.Namespace) -> int:
    wanted = _listed(parsed.permissions)
    unknown = [name for name in wanted if name not in GRANTABLE]
    if unknown or not wanted:
        return _failed(f"{', '.join(unknown) or 'nothing'} is no permission; known are {', '.join(GRANTABLE)}")
    allowance = narrowing(wanted, _listed(parsed.models))
    with closing(_auth(settings)) as auth:
        made = auth.accounts.keys.add(parsed.owner, parsed.name, allowance, parsed.days, COMMAND, time.time())
    return _say_made(made)


def _keys_list(settings: Settings, _: argparse.Namespace) -> int:
    with closing(_auth(settings)) as auth:
        pairs = auth.accounts.keys.list()
    for pair in pairs:
        for key in pair.keys:
            used = f"used {_day(key.used_at)} from {key.used_from}" if key.used_at is not None else "never used"
            about = f"{','.join(pair.permissions)}\t{','.join(pair.models)}\tuntil {_day(key.expires_at)}\t{used}"
            _say(f"{pair.pair}\t{pair.owner}\t{pair.name}\t{key.slot}\t{PREFIX}{key.id}\t{about}")
    return 0


def _keys_regenerate(settings: Settings, parsed: argparse.Namespace) -> int:
    if not 0 <= parsed.grace <= LONGEST_GRACE_S:
        return _failed(f"--grace is 0 to {LONGEST_GRACE_S} seconds")
    with closing(_auth(settings)) as auth:
        return _say_made(
            auth.accounts.keys.regenerate(parsed.pair, parsed.slot, parsed.grace, parsed.days, time.time())
        )


def _keys_remove(settings: Settings, parsed: argparse.Namespace) -> int:
    with closing(_auth(settings)) as auth:
        auth.accounts.keys.remove(parsed.pair, parsed.slot)
    return 0


def _on_accounts(act: Callable[[Auth, argparse.Namespace], Iterable[str]]) -> Callable[..., int]:
    """A command of what acts on the accounts and gives the lines to be said."""

    def run(settings: Settings, parsed: argparse.Namespace) -> int:
        with closing(_auth(settings)) as auth:
            for line in act(auth, parsed):
                _say(line)
        return 0

    return run


def _on_files(act: endpoints_command.Act) -> Callable[..., int]:
    """A command of what acts on files and gives the lines to be said."""

    def run(settings: Settings, parsed: argparse.Namespace) -> int:
        try:
            for line in act(settings, parsed):
                _say(line, sys.stderr if line.startswith("warning: ") else None)
        except (*endpoints_command.Refusals, collect_command.Refused) as e:
            return _failed(str(e))
        return 0

    return run


def _say_made(made: Made) -> int:
    for key in made.pair.keys:
        if key.id in made.texts:
            _say(f"{made.pair.pair}\t{key.slot}\t{made.texts[key.id]}\tuntil {_day(key.expires_at)}")
    return 0


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(at))


def _listed(text: str) -> list[Any]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _auth(settings: Settings) -> Auth:
    act_as(Actor(COMMAND, "command"))
    where = settings.database
    return open_auth(settings.data, accounts_file=settings.accounts, key_file=settings.token_key, database=where)


def _password() -> str:
    return getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _say(text: str, to: TextIO | None = None) -> None:
    print(text, file=to or sys.stdout, flush=True)


def _failed(text: str, code: int = EXIT_FAILED) -> int:
    _say(f"tandem: {text}", sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
