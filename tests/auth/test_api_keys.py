from collections.abc import Callable

import pytest

from auth.accounts import Accounts
from auth.api_keys import DAY_S, ApiKeys, Made, NoKeys
from auth.audit import Wanted
from auth.errors import AccountError
from auth.principal import Allowance
from auth.store import AccountChange, narrowing
from tests.auth.conftest import REFUSED_BY_DATABASE, Raw

SCORING = Allowance(frozenset({"list", "score"}), ("boston", "mpg"))


@pytest.fixture
def keys(accounts: Accounts) -> ApiKeys:
    accounts.add_service("batch", "scorer", 0.0)
    return accounts.keys


@pytest.fixture
def made(keys: ApiKeys) -> Made:
    return keys.add("batch", "nightly", SCORING, 365, "root", 1000.0)


def ids(made: Made) -> dict[str, str]:
    return {key.slot: key.id for key in made.pair.keys}


def test_a_pair_has_two_keys_that_are_found_with_whoever_has_them(keys: ApiKeys, made: Made) -> None:
    assert sorted(ids(made)) == ["primary", "secondary"]
    assert set(made.texts) == set(ids(made).values())
    held = keys.find(ids(made)["primary"])
    assert held is not None
    assert (held.owner, held.kind, held.role, held.narrowed) == ("batch", "service", "scorer", SCORING)
    assert held.expires_at == 1000.0 + 365 * DAY_S


def test_no_key_is_kept(made: Made, raw: Raw) -> None:
    kept = raw.kept()
    assert all(text.encode()[13:] not in kept for text in made.texts.values())
    assert b"nightly" in kept


def test_a_key_is_replaced_while_the_other_works(keys: ApiKeys, made: Made) -> None:
    again = keys.regenerate(made.pair.pair, "secondary", 0, 30, 2000.0)
    assert [key.slot for key in again.pair.keys if key.id in again.texts] == ["secondary"]
    primary, secondary = (keys.find(ids(made)[slot]) for slot in ("primary", "secondary"))
    assert primary is not None and primary.expires_at > 2000.0
    assert secondary is not None and secondary.expires_at == 2000.0
    (new,) = again.texts
    assert (found := keys.find(new)) is not None and found.expires_at == 2000.0 + 30 * DAY_S


def test_the_old_key_may_be_let_run_out_and_is_cleared_away_at_the_next_replacement(keys: ApiKeys, made: Made) -> None:
    keys.regenerate(made.pair.pair, "primary", 600, 365, 2000.0)
    old = keys.find(ids(made)["primary"])
    assert old is not None and old.expires_at == 2600.0
    keys.regenerate(made.pair.pair, "primary", 600, 365, 3000.0)
    assert keys.find(ids(made)["primary"]) is None
    assert [key.slot for key in keys.list()[0].keys] == ["primary", "primary", "secondary"]


def test_time_that_is_granted_never_lengthens_a_key(keys: ApiKeys) -> None:
    made = keys.add("batch", "short", SCORING, 1, "root", 1000.0)
    keys.regenerate(made.pair.pair, "primary", 10 * DAY_S, 1, 2000.0)
    old = keys.find(ids(made)["primary"])
    assert old is not None and old.expires_at == 1000.0 + DAY_S


@pytest.mark.parametrize(
    "end",
    [
        lambda accounts, made: accounts.keys.remove(made.pair.pair),
        lambda accounts, made: accounts.keys.remove(made.pair.pair, "primary"),
        lambda accounts, _: accounts.remove("batch"),
        lambda accounts, _: accounts.change("batch", AccountChange(disabled=True)),
    ],
    ids=["the pair is removed", "the key is removed", "the owner is removed", "the owner is disabled"],
)
def test_a_key_is_gone_with_what_it_hangs_on_and_every_process_hears_of_it(
    accounts: Accounts, elsewhere: Accounts, made: Made, end: Callable[[Accounts, Made], object]
) -> None:
    before = elsewhere.change_counter()
    end(accounts, made)
    assert elsewhere.keys.find(ids(made)["primary"]) is None
    assert elsewhere.change_counter() != before


def test_making_a_key_empties_nobodys_cache(keys: ApiKeys, accounts: Accounts) -> None:
    before = accounts.change_counter()
    keys.add("batch", "another", SCORING, 365, "root", 1000.0)
    assert accounts.change_counter() == before


def test_the_last_use_is_kept_and_an_older_one_that_comes_later_is_not(keys: ApiKeys, made: Made) -> None:
    key = ids(made)["primary"]
    keys.note_uses({key: (1500.0, "10.0.0.0/24")})
    keys.note_uses({key: (1400.0, "10.0.9.0/24"), "gone": (1.0, "x")})
    listed = {one.id: (one.used_at, one.used_from) for one in keys.list()[0].keys}
    assert listed[key] == (1500.0, "10.0.0.0/24")
    assert listed[ids(made)["secondary"]] == (None, None)


def test_keys_that_end_soon_are_counted_and_the_audit_is_told_of_each_once(
    keys: ApiKeys, made: Made, accounts: Accounts, elsewhere: Accounts
) -> None:
    end = 1000.0 + 365 * DAY_S
    told = ids(made)

    def rows() -> list[str]:
        return [row.target for row in accounts.audit.rows(Wanted(action="key.ending"), 10)]

    assert keys.note_ending(end - 14.1 * DAY_S) == 0 and rows() == []
    soon = end - 13 * DAY_S
    assert [store.note_ending(soon) for store in (keys, elsewhere.keys, keys)] == [2, 2, 2]
    assert rows() == [made.pair.pair] * 2
    keys.regenerate(made.pair.pair, "primary", 86_400, 365, soon)
    assert keys.note_ending(soon + 1) == 1  # what was replaced ends as it should
    accounts.change("batch", AccountChange(disabled=True))
    assert keys.note_ending(soon + 1) == 0
    accounts.change("batch", AccountChange(disabled=False))
    assert keys.note_ending(end) == 0
    assert len(rows()) == 2 and told["primary"] in accounts.audit.rows(Wanted(action="key.ending"), 10)[0].more
    assert accounts.audit.verify().fault is None


def test_a_key_that_is_made_for_a_short_time_does_not_end_soon_from_its_first_day_on(keys: ApiKeys) -> None:
    keys.add("batch", "of a day", SCORING, 1, "root", 1000.0)
    assert [keys.note_ending(1000.0 + share * DAY_S) for share in (0.0, 0.7, 0.8)] == [0, 0, 2]


@pytest.mark.parametrize(
    ("owner", "name", "days", "problem"),
    [
        ("nobody", "a", 1, "unknown"),
        ("batch", "", 1, "bad_key_name"),
        ("batch", "x" * 65, 1, "bad_key_name"),
        ("batch", "a\nb", 1, "bad_key_name"),
        ("batch", "a", 0, "bad_days"),
        ("batch", "a", -1, "bad_days"),
        ("batch", "a", 731, "bad_days"),
        ("batch", "a", 10**9, "bad_days"),
    ],
)
def test_a_pair_that_cannot_be_is_refused_and_leaves_nothing(
    keys: ApiKeys, owner: str, name: str, days: int, problem: str
) -> None:
    with pytest.raises(AccountError) as refusal:
        keys.add(owner, name, SCORING, days, "root", 1000.0)
    assert refusal.value.problem == problem
    assert keys.list() == ()


def test_a_pair_that_is_not_there_cannot_be_changed(keys: ApiKeys) -> None:
    for change in (lambda: keys.remove("none"), lambda: keys.regenerate("none", "primary", 0, 1, 0.0)):
        with pytest.raises(AccountError, match="unknown_key"):
            change()


@pytest.mark.parametrize("pattern", ["", "a b", "a**", "*a", "a/b", "ä", "a\n", "x" * 129])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(AccountError, match="bad_pattern"):
        narrowing(["score"], [pattern])


def test_where_accounts_are_in_a_file_there_are_no_keys() -> None:
    keys = NoKeys()
    assert keys.find("abcdefgh") is None
    for change in (keys.list, lambda: keys.add("a", "b", SCORING, 1, "c", 0.0), lambda: keys.remove("a")):
        with pytest.raises(AccountError, match="in_file"):
            change()


def test_two_keys_are_never_of_one_id(keys: ApiKeys, made: Made, raw: Raw) -> None:
    with pytest.raises(REFUSED_BY_DATABASE):
        raw.execute("INSERT INTO keys SELECT * FROM keys")
