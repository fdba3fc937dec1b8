"""Sessions that were ended, as one process hears of them."""

import pytest

from auth.accounts import Accounts
from auth.endings import KEPT, Endings, note_end
from tests.auth.conftest import Raw


def test_each_end_is_told_once_in_its_order() -> None:
    endings = Endings(7)
    endings.hear([(8, "a"), (9, "b")])
    endings.hear([(8, "a"), (9, "b"), (10, "c")])  # asked for by another thread before the first was heard
    endings.hear([(9, "b")])
    assert endings.take() == ["a", "b", "c"]
    assert endings.take() == []


@pytest.mark.parametrize(("last", "next_one"), [(7, 9), (None, 1)], ids=["a gap", "nobody has looked"])
def test_whoever_may_have_missed_one_has_to_forget_everything_once(last: int | None, next_one: int) -> None:
    endings = Endings(last)
    endings.hear([(next_one, "a")])
    assert endings.take() is None
    endings.hear([(next_one + 1, "b")])
    assert endings.take() == ["b"]


def test_so_many_are_kept_and_no_more(accounts: Accounts, elsewhere: Accounts, raw: Raw) -> None:
    with accounts._database.transaction() as db:
        db.execute("INSERT INTO ended_sessions (seq, session) VALUES (?, ?)", (KEPT, "before"))
        note_end(db, "one")
        note_end(db, "two")
    assert raw.execute("SELECT count(*), max(seq) FROM ended_sessions") == [(3, KEPT + 2)]
    assert elsewhere.ended_sessions() is None
    with accounts._database.transaction() as db:
        db.execute("UPDATE ended_sessions SET seq = 2 WHERE session = ?", ("before",))
        note_end(db, "three")
    assert raw.execute("SELECT session FROM ended_sessions ORDER BY seq") == [("one",), ("two",), ("three",)]
    assert elsewhere.ended_sessions() == ["three"]
