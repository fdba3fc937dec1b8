"""`tandem limits`: how much accounts may ask for."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from auth.limits.limit import PERS, Limit, Unit
from auth.setup import Auth


def add_to(limits: Any, by: str, run: Callable[[Callable[[Auth, argparse.Namespace], list[str]]], Any]) -> None:
    """Add the actions to a parser. `run` makes a command of what acts on the accounts and says lines.

    `by` is who sets a limit by command.
    """
    add = limits.add_parser("add", help="set a limit, or make it another; it holds within a second")
    add.add_argument("limit", help="its name, which callers are told")
    add.add_argument("--who", required=True, help="an account, role:NAME, group:PROVIDER:GROUP or '*'; each by itself")
    add.add_argument("--model", default="*", help="a model, or a beginning and an asterisk; all that fit together")
    of = add.add_mutually_exclusive_group(required=True)
    of.add_argument("--requests", type=int, help="so many requests at most")
    of.add_argument("--rows", type=int, help="so many rows at most")
    add.add_argument("--per", choices=PERS, required=True, help="a rate: second, minute; a quota: day, month of UTC")
    add.add_argument("--burst", type=int, help="of a rate: how many may come at once")
    add.set_defaults(run=run(_add), by=by)
    limits.add_parser("list", help="list limits").set_defaults(run=run(_list))
    remove = limits.add_parser("remove", help="remove a limit; it ends within a second")
    remove.add_argument("limit")
    remove.set_defaults(run=run(_remove))


def _add(auth: Auth, parsed: argparse.Namespace) -> list[str]:
    unit: Unit = "rows" if parsed.requests is None else "requests"
    amount = getattr(parsed, unit)
    now = time.time()
    limit = Limit(parsed.limit, parsed.who, parsed.model, unit, amount, parsed.per, parsed.burst, now, parsed.by)
    auth.accounts.limits.put(limit)
    return []


def _list(auth: Auth, _: argparse.Namespace) -> list[str]:
    return [_line(limit) for limit in auth.accounts.limits.list()]


def _remove(auth: Auth, parsed: argparse.Namespace) -> list[str]:
    auth.accounts.limits.remove(parsed.limit)
    return []


def _line(limit: Limit) -> str:
    burst = "" if limit.burst is None else f"\tat most {limit.burst:,} at once"
    return f"{limit.id}\t{limit.who}\t{limit.model}\t{limit.in_words()}{burst}"
