"""`tandem audit`: reading the audit, and proving that nobody has changed it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from auth.audit import Wanted, pages
from auth.audit_text import HEADS, WRITERS
from auth.errors import AuthError
from auth.setup import Auth


def add_to(audit: Any, run: Callable[[Callable[[Auth, argparse.Namespace], Iterator[str]]], Any]) -> None:
    """Add the actions to a parser. `run` makes a command of what acts on the accounts and says lines."""
    export = audit.add_parser("export", help="print rows of the audit")
    export.add_argument("--since", type=_instant, help="2026-11-01 or 2026-11-01T08:00:00Z, in UTC")
    export.add_argument("--until", type=_instant)
    export.add_argument("--form", choices=sorted(WRITERS), default="jsonl")
    export.set_defaults(run=run(_export))
    verify = audit.add_parser("verify", help="prove that no row was changed")
    verify.add_argument("--against", metavar="SEQ:CHAIN", help="a row that was noted before, to be there still")
    verify.set_defaults(run=run(_verify))


def _instant(text: str) -> float:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _export(auth: Auth, parsed: argparse.Namespace) -> Iterator[str]:
    if head := HEADS[parsed.form]:
        yield head.removesuffix("\n")
    for page in pages(auth.accounts.audit, Wanted(parsed.since, parsed.until)):
        yield WRITERS[parsed.form](page).removesuffix("\n")


def _verify(auth: Auth, parsed: argparse.Namespace) -> Iterator[str]:
    verdict = auth.accounts.audit.verify()
    noted = (parsed.against or "").partition(":")
    kept = auth.accounts.audit.rows(Wanted(after=int(noted[0]) - 1), 1) if noted[0].isdecimal() else []
    if verdict.fault is not None:
        raise AuthError(f"the audit was changed: {verdict.fault}")
    if parsed.against and not (kept and f"{kept[0].seq}:{kept[0].chain}" == parsed.against):
        raise AuthError(f"the audit was changed: {parsed.against} is not in it any more")
    yield f"{verdict.rows} rows, {verdict.first} to {verdict.last}, are as they were written"
    yield f"{verdict.last}:{verdict.chain}"
