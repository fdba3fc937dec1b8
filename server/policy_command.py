"""`tandem roles` and `tandem grants`: what accounts and groups may do, and on which models."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, cast

from auth.policy import Grant, RoleOfOwn
from auth.principal import GRANTABLE, Permission
from auth.setup import Auth
from auth.store import narrowing

Run = Callable[[Callable[[Auth, argparse.Namespace], list[str]]], Any]
"""Makes a command of what acts on the accounts and says lines."""


def add_roles(roles: Any, run: Run) -> None:
    """Add the actions of `tandem roles` to a parser."""
    roles.add_parser("list", help="list roles and what each consists of").set_defaults(run=run(_list_roles))
    made = roles.add_parser("set", help="make a role, or make it another; it holds within a second")
    made.add_argument("role")
    made.add_argument(
        "--permissions", type=_permissions, required=True, metavar="LIST", help=f"some of {', '.join(GRANTABLE)}"
    )
    made.set_defaults(run=run(_set_role))
    remove = roles.add_parser("remove", help="remove a role that no account and no grant has")
    remove.add_argument("role")
    remove.set_defaults(run=run(_remove_role))


def add_grants(grants: Any, by: str, run: Run) -> None:
    """Add the actions of `tandem grants` to a parser. `by` is who makes a grant by command."""
    grants.add_parser("list", help="list grants").set_defaults(run=run(_list_grants))
    add = grants.add_parser("add", help="give a role on some models, and print the grant; it holds within a second")
    add.add_argument("to", help="an account, PROVIDER:SUBJECT, or group: and a group")
    add.add_argument("role")
    add.add_argument("--models", required=True, help="models, or beginnings and an asterisk: boston,mpg,risk-*")
    add.set_defaults(run=run(_add_grant), by=by)
    remove = grants.add_parser("remove", help="take a grant back; it ends within a second")
    remove.add_argument("grant")
    remove.set_defaults(run=run(_remove_grant))


def _permissions(text: str) -> tuple[Permission, ...]:
    named = tuple(text.split(","))
    strange = [name for name in named if name not in GRANTABLE]
    if strange:
        raise argparse.ArgumentTypeError(f"{', '.join(strange)} is none of {', '.join(GRANTABLE)}")
    return cast(tuple[Permission, ...], named)


def _list_roles(auth: Auth, _: argparse.Namespace) -> list[str]:
    return [_role(role) for role in auth.accounts.policy.roles()]


def _set_role(auth: Auth, parsed: argparse.Namespace) -> list[str]:
    return [_role(auth.accounts.policy.put_role(parsed.role, parsed.permissions))]


def _remove_role(auth: Auth, parsed: argparse.Namespace) -> list[str]:
    auth.accounts.policy.remove_role(parsed.role)
    return []


def _list_grants(auth: Auth, _: argparse.Namespace) -> list[str]:
    return [_grant(grant) for grant in auth.accounts.policy.grants()]


def _add_grant(auth: Auth, parsed: argparse.Namespace) -> list[str]:
    policy = auth.accounts.policy
    allowance = narrowing(sorted(policy.permissions(parsed.role)), parsed.models.split(","))
    return [_grant(policy.add_grant(parsed.to, allowance, parsed.role, parsed.by, time.time()))]


def _remove_grant(auth: Auth, parsed: argparse.Namespace) -> list[str]:
    auth.accounts.policy.remove_grant(parsed.grant)
    return []


def _role(role: RoleOfOwn) -> str:
    return f"{role.name}\t{','.join(role.permissions)}"


def _grant(grant: Grant) -> str:
    return f"{grant.id}\t{grant.to}\t{grant.role}\t{','.join(grant.models)}"
