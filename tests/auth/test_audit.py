import csv
import json
import time
from collections.abc import Callable
from io import StringIO

import pytest

from auth.account_file import AccountFile
from auth.accounts import Accounts
from auth.audit import Act, Actor, Audit, NoAudit, Row, Wanted, acting, pages
from auth.audit_text import HEADS, as_csv, as_json_lines
from auth.errors import AccountError, AccountsUnavailable
from auth.principal import Allowance
from auth.refusals import EVERY_S, Refusals
from auth.store import AccountChange
from server.logs import FIELDS
from tests.auth.conftest import REFUSED_BY_DATABASE, Raw

PASSWORD = "correct horse"
ROOT = Actor("root", "token:s1", "203.0.113.7", "r-1")


@pytest.fixture
def audit(accounts: Accounts) -> Audit:
    return accounts.audit


def rows(audit: Audit, **wanted: object) -> list[Row]:
    return audit.rows(Wanted(**wanted), 1000)  # type: ignore[arg-type]


def said(audit: Audit) -> list[tuple[str, str, str]]:
    return [(row.who, row.action, row.target) for row in rows(audit)]


CHANGES: dict[str, Callable[[Accounts], object]] = {
    "account.added": lambda accounts: accounts.add("bob", "scorer", PASSWORD, 2.0),
    "account.changed": lambda accounts: accounts.change("ann", AccountChange(disabled=True)),
    "account.removed": lambda accounts: accounts.remove("ann"),
    "password.set": lambda accounts: accounts.set_password("ann", "another horse"),
    "signed_in": lambda accounts: accounts.sign_in("ann", PASSWORD, 2.0),
    "token.issued": lambda accounts: accounts.open_session("ann", 2.0),
    "keys.added": lambda accounts: add_keys(accounts),
    "key.replaced": lambda accounts: accounts.keys.regenerate(add_keys(accounts), "primary", 0, 1, 2.0),
    "keys.removed": lambda accounts: accounts.keys.remove(add_keys(accounts)),
    "role.set": lambda accounts: accounts.policy.put_role("watcher", ["list"]),
    "role.removed": lambda accounts: (accounts.policy.put_role("w", []), accounts.policy.remove_role("w")),
    "grant.added": lambda accounts: accounts.policy.add_grant("ann", Allowance(frozenset()), "scorer", "root", 2.0),
    "grant.removed": lambda accounts: accounts.policy.remove_grant(
        accounts.policy.add_grant("ann", Allowance(frozenset()), "scorer", "root", 2.0).id
    ),
}


def add_keys(accounts: Accounts) -> str:
    return accounts.keys.add("ann", "n", Allowance(frozenset({"score"})), 1, "root", 2.0).pair.pair


@pytest.mark.parametrize("action", CHANGES)
def test_every_change_leaves_a_row_that_says_who_made_it(accounts: Accounts, audit: Audit, action: str) -> None:
    accounts.add("ann", "scorer", PASSWORD, 1.0)
    with acting(ROOT):
        CHANGES[action](accounts)
    last = rows(audit)[-1]
    assert (last.action, last.via, last.address, last.request_id) == (action, ROOT.via, ROOT.address, ROOT.request_id)
    assert last.who == ("ann" if action == "signed_in" else "root")
    assert audit.verify().fault is None


def test_each_row_is_a_line_of_the_log_once_it_is_written(
    accounts: Accounts, audit: Audit, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with acting(ROOT):
        accounts.add_service("batch", "scorer", 2.0)
    with pytest.raises(AccountError):
        accounts.keys.add("batch", "n", Allowance(frozenset({"score"})), 0, "root", 2.0)
    [line] = [record for record in caplog.records if record.message == "audited"]
    row = rows(audit)[-1]
    told = ("seq", "via", "address", "request_id", "action", "target", "outcome")
    assert [getattr(line, name) for name in told] == [getattr(row, name) for name in told]
    assert (line.__dict__["principal"], line.__dict__["more"]) == ("root", {"kind": "service", "role": "scorer"})
    assert set(told) | {"principal", "more"} <= set(FIELDS)


def test_what_is_refused_leaves_no_row(accounts: Accounts, audit: Audit) -> None:
    for change in (lambda: accounts.remove("nobody"), lambda: accounts.policy.remove_grant("none")):
        with pytest.raises(AccountError):
            change()
    assert rows(audit) == []


def test_of_two_who_change_the_same_the_last_wins_and_both_are_in_the_audit(
    accounts: Accounts, elsewhere: Accounts, audit: Audit
) -> None:
    accounts.add_service("ann", "none", 2.0)
    for through, name, role in ((accounts, "root", "scorer"), (elsewhere, "boss", "auditor")):
        with acting(Actor(name, "token:x")):
            through.change("ann", AccountChange(role=role))
    found = accounts.find("ann")
    assert found is not None and found.role == "auditor"
    changes = rows(audit, action="account.changed")
    assert [(row.who, json.loads(row.more)["role"]) for row in changes] == [("root", "scorer"), ("boss", "auditor")]


def test_a_change_that_cannot_be_audited_is_not_made(
    accounts: Accounts, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AccountsUnavailable("database or disk is full")

    monkeypatch.setattr("auth.accounts.record", fail)
    with pytest.raises(AccountsUnavailable):
        accounts.add("ann", "scorer", PASSWORD, 1.0)
    assert accounts.list() == () and rows(audit) == []


def test_no_secret_is_in_any_row(accounts: Accounts, audit: Audit) -> None:
    accounts.add("ann", "scorer", PASSWORD, 1.0)
    made = accounts.keys.add("ann", "n", Allowance(frozenset({"score"})), 1, "root", 2.0)
    accounts.set_password("ann", "another horse")
    opened = accounts.open_session("ann", 2.0)
    kept = repr(rows(audit))
    secrets = (PASSWORD, "another horse", opened.refresh_token or "", *made.texts.values())
    assert all(secret not in kept for secret in secrets) and "argon2" not in kept


@pytest.fixture
def five(accounts: Accounts, raw: Raw) -> Raw:
    """The database under an audit of five rows, open to whoever may write it."""
    for number in range(5):
        accounts.audit.write(Act("tried", f"t{number}", more={"n": number}, who="ann"), 1000.0 + number)
    return raw


def test_the_database_itself_lets_no_row_be_changed_or_taken_out(five: Raw) -> None:
    with pytest.raises(REFUSED_BY_DATABASE, match="is not changed"):
        five.execute("UPDATE audit SET who = 'bob'")
    rest = "who, via, address, request_id, action, target, outcome, more, chain"
    five.execute(f"INSERT INTO audit SELECT seq + 5, ?, {rest} FROM audit WHERE seq = 1", time.time())
    with pytest.raises(REFUSED_BY_DATABASE, match="400 days"):
        five.execute("DELETE FROM audit WHERE seq = 6")
    if not five.sqlite:
        with pytest.raises(REFUSED_BY_DATABASE, match="400 days"):
            five.execute("TRUNCATE audit")


def test_a_row_that_tells_of_any_character_is_as_it_was_written(audit: Audit) -> None:
    audit.write(Act("tried", "a\0b % ? ' \\ \u2028 \U0001f600", more={"n": "\0"}, who="idp:\0"), 1.0)
    [row] = rows(audit)
    assert (row.who, row.target) == ("idp:\ufffd", "a\ufffdb % ? ' \\ \u2028 \U0001f600")
    assert audit.verify().fault is None


TAMPERING = {
    "UPDATE audit SET who = 'bob' WHERE seq = 3": "row 3 is not as it was written",
    "UPDATE audit SET at = at + 0.001 WHERE seq = 1": "row 1 is not as it was written",
    "UPDATE audit SET more = '' WHERE seq = 5": "row 5 is not as it was written",
    "UPDATE audit SET outcome = 'Done' WHERE seq = 2": "row 2 is not as it was written",
    "DELETE FROM audit WHERE seq = 2": "row 2 is missing",
    "UPDATE audit SET target = CASE seq WHEN 2 THEN 't2' ELSE 't1' END WHERE seq IN (2, 3)": "row 2 is not",
}


@pytest.mark.parametrize("how", TAMPERING)
def test_whoever_goes_around_that_is_found_out(audit: Audit, five: Raw, how: str) -> None:
    assert audit.verify().fault is None
    five.without_trigger("audit_is_not_changed")
    five.without_trigger("audit_is_kept")
    five.execute(how)
    fault = audit.verify().fault
    assert fault is not None and fault.startswith(TAMPERING[how])


def test_the_end_of_the_chain_tells_of_rows_that_were_cut_off(audit: Audit, five: Raw) -> None:
    before = audit.verify()
    assert (before.rows, before.first, before.last) == (5, 1, 5)
    assert before.chain == rows(audit)[-1].chain
    five.without_trigger("audit_is_kept")
    five.execute("DELETE FROM audit WHERE seq = 5")
    after = audit.verify()
    assert after.fault is None and (after.last, after.chain) != (before.last, before.chain)


def test_the_oldest_rows_may_be_cleared_away(audit: Audit, five: Raw) -> None:
    five.execute("DELETE FROM audit WHERE seq <= 2")  # they are of 1970
    verdict = audit.verify()
    assert (verdict.fault, verdict.rows, verdict.first, verdict.last) == (None, 3, 3, 5)


def test_processes_that_write_at_once_keep_one_chain(accounts: Accounts, elsewhere: Accounts) -> None:
    for number in range(20):
        (accounts if number % 3 else elsewhere).audit.write(Act("tried"), float(number))
    assert accounts.audit.verify() == elsewhere.audit.verify()
    assert (accounts.audit.verify().rows, accounts.audit.verify().fault) == (20, None)


def test_rows_are_found_by_time_actor_action_and_outcome(audit: Audit, five: Raw) -> None:
    audit.write(Act("other", outcome="refused", who="bob"), 1010.0)
    assert [row.seq for row in rows(audit, since=1001.0, until=1003.0)] == [2, 3]
    assert [row.seq for row in rows(audit, who="bob")] == [6]
    assert [row.seq for row in rows(audit, action="other", outcome="refused")] == [6]
    assert [row.seq for row in rows(audit, after=4)] == [5, 6]
    assert [[row.seq for row in page] for page in pages(audit, Wanted(who="ann"), 2)] == [[1, 2], [3, 4], [5]]


# Text


def test_a_cell_of_a_spreadsheet_is_never_a_formula(audit: Audit) -> None:
    for name in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a,"b', "plain"):
        audit.write(Act("tried", name), 0.0)
    read = list(csv.DictReader(StringIO(HEADS["csv"] + as_csv(rows(audit)))))
    targets = [row["target"] for row in read]
    assert targets == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", 'a,"b', "plain"]
    assert read[0]["at"] == "1970-01-01T00:00:00.000Z"


def test_a_line_of_json_is_a_row(audit: Audit) -> None:
    audit.write(Act("tried", "t", more={"n": [1]}), 1.5)
    (line,) = as_json_lines(rows(audit)).splitlines()
    read = json.loads(line)
    assert (read["seq"], read["action"], read["more"], read["at"]) == (
        1,
        "tried",
        {"n": [1]},
        "1970-01-01T00:00:01.500Z",
    )


# Refusals


def test_refusals_are_summed_by_network_and_reason(audit: Audit) -> None:
    refusals = Refusals(audit.write_all)
    for address in ("203.0.113.7", "203.0.113.8", "198.51.100.1"):
        refusals.note("bad_key", address, 1000.0)
    refusals.note("expired", "203.0.113.7", 1059.0)
    assert not refusals.due(1059.0) and refusals.due(1000.0 + EVERY_S)
    refusals.take()()
    written = [(row.target, row.outcome, json.loads(row.more)) for row in rows(audit)]
    assert written == [
        ("198.51.100.0/24", "refused", {"count": 1, "reason": "bad_key"}),
        ("203.0.113.0/24", "refused", {"count": 2, "reason": "bad_key"}),
        ("203.0.113.0/24", "refused", {"count": 1, "reason": "expired"}),
    ]
    assert not refusals.due(10_000.0)


def test_a_key_in_an_address_is_told_by_its_id(audit: Audit) -> None:
    refusals = Refusals(audit.write_all)
    for key in ("abcdefgh", "abcdefgh", ""):
        refusals.note("key_in_url", "203.0.113.7", 1000.0, key)
    refusals.take()()
    said = [json.loads(row.more) for row in rows(audit)]
    assert said == [{"count": 1, "reason": "key_in_url"}, {"count": 2, "key": "abcdefgh", "reason": "key_in_url"}]


def test_a_flood_from_everywhere_fills_neither_memory_nor_the_audit(audit: Audit) -> None:
    refusals = Refusals(audit.write_all)
    for number in range(5000):
        refusals.note("malformed", f"10.{number // 256}.{number % 256}.1", 1000.0)
    refusals.take()()
    assert len(audit.rows(Wanted(), 5000)) <= 1001
    assert sum(json.loads(row.more)["count"] for row in audit.rows(Wanted(), 5000)) == 5000


def test_where_accounts_are_in_a_file_there_is_no_audit(shared: AccountFile) -> None:
    audit = shared.audit
    assert isinstance(audit, NoAudit)
    audit.write(Act("tried"), 0.0)
    for asked in (lambda: audit.rows(Wanted(), 1), audit.verify):
        with pytest.raises(AccountError, match="in_file"):
            asked()
