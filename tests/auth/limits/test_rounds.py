"""What processes and servers of one database hear from one another, over a real database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auth.accounts import Accounts
from auth.errors import OverLimit
from auth.limits.cells import Cells
from auth.limits.limit import Limit
from auth.limits.limiter import Limiter
from auth.limits.rounds import EVERY_S, Rounds
from auth.limits.usage import Counted, DaySum, Key, UsageRow, WantedUsage, day_of
from auth.principal import Principal, built_in

NOON = 1_796_126_400.0
"""2026-12-01T12:00:00Z"""
ANN = Principal("ann", "person", "scorer", "token", "s", 1e12, built_in("scorer"))


class Time:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def unix(self) -> float:
        return NOON + self.passed_s

    def monotonic(self) -> float:
        return 100.0 + self.passed_s


class Process:
    """A web process, whose rounds are made when the test says so."""

    def __init__(self, accounts: Accounts, time: Time, buckets: Path | None = None) -> None:
        self.accounts = accounts
        self.time = time
        self.cells = Cells(buckets)
        self.limiter = Limiter(self.cells, time.unix)
        usage, limits = accounts.usage, accounts.limits
        self.rounds = Rounds(self.limiter, limits, usage, self.cells, time.unix, time.monotonic)
        self.rounds.begin()

    def round(self) -> None:
        self.rounds.take(lambda found: found())()

    def let_through(self, tries: int, model: str = "mpg", rows: int = 1) -> int:
        bounds = self.limiter.of(ANN, model)
        assert bounds is not None
        good = 0
        for _ in range(tries):
            try:
                bounds.admit(self.time.monotonic())
            except OverLimit:
                continue
            bounds.answered(rows, self.time.monotonic())
            good += 1
        return good


@pytest.fixture
def time() -> Time:
    return Time()


def put(accounts: Accounts, amount: int = 10, per: Any = "second", **more: Any) -> None:
    accounts.limits.put(Limit(more.pop("id", "l"), "ann", "*", more.pop("unit", "requests"), amount, per, **more))


def test_a_limit_holds_elsewhere_after_a_round_and_ends_so(accounts: Accounts, elsewhere: Accounts, time: Time) -> None:
    process = Process(elsewhere, time)
    assert not process.limiter.on
    put(accounts)
    process.round()
    assert process.limiter.on
    accounts.limits.remove("l")
    process.round()
    assert not process.limiter.on


def test_another_server_takes_out_of_its_bucket_what_this_one_let_through(
    accounts: Accounts, elsewhere: Accounts, time: Time
) -> None:
    put(accounts)
    one, two = Process(accounts, time), Process(elsewhere, time)
    assert two.let_through(3) == 3
    for process in (one, two):
        process.round()
    assert one.let_through(6) == 6
    for process in (one, two, one):
        process.round()
    assert two.let_through(20) == 10 - 3 - 6


def test_servers_under_load_are_over_by_a_second_of_the_rate_at_most_and_never_under(
    accounts: Accounts, elsewhere: Accounts, time: Time
) -> None:
    put(accounts, amount=20)
    servers = [Process(accounts, time), Process(elsewhere, time)]
    good = 0
    for tenth in range(200):
        time.passed_s = tenth / 10
        good += sum(server.let_through(15) for server in servers)
        for at, server in enumerate(servers):
            if tenth % 5 == 3 * at:  # each looks at its own time
                server.round()
    assert 20 * 20 <= good <= 20 + 20 * 20 + 20


def test_processes_of_one_server_share_their_buckets_without_a_round(
    accounts: Accounts, elsewhere: Accounts, time: Time, tmp_path: Path
) -> None:
    put(accounts)
    one, two = Process(accounts, time, tmp_path / "buckets"), Process(elsewhere, time, tmp_path / "buckets")
    assert one.let_through(6) == 6
    assert two.let_through(20) == 4
    for _ in range(3):
        for process in (one, two):
            process.round()
    time.passed_s = 0.5
    assert (one.let_through(20), two.let_through(20)) == (5, 0)  # nothing was charged twice


def test_one_process_of_a_server_charges_what_another_server_let_through(
    accounts: Accounts, elsewhere: Accounts, time: Time, tmp_path: Path
) -> None:
    put(accounts, amount=10, burst=100)
    ours = [Process(accounts, time, tmp_path / "buckets") for _ in range(2)]
    other = Process(elsewhere, time)
    assert ours[0].let_through(1) == 1
    for process in (*ours, other):
        process.round()
    assert other.let_through(50) == 50
    for process in (other, *ours, *ours):
        process.round()
    assert 100 - 51 <= ours[1].let_through(100) <= 100 - 51 + 10


def test_a_quota_is_of_all_processes_and_servers(accounts: Accounts, elsewhere: Accounts, time: Time) -> None:
    put(accounts, amount=10, per="day")
    put(accounts, amount=1000, per="month", unit="rows", id="rows")
    one, two = Process(accounts, time), Process(elsewhere, time)
    assert one.let_through(8) == 8
    for process in (one, two, one, two):
        process.round()
    assert two.let_through(1) == 1  # the first is let through before anything is known
    two.round()
    assert two.let_through(5, rows=991) == 1
    two.round()
    assert (one.let_through(1), two.let_through(1)) == (1, 0)
    one.round()
    assert one.let_through(1) == 0
    time.passed_s = 86_400.0  # the next day, of the same month: what is left of the rows is nothing
    for process in (one, two):
        process.round()
        assert process.let_through(2) in (0, 1)
        process.round()
        assert process.let_through(1) == 0


def test_a_quota_is_known_to_a_process_that_begins_later(accounts: Accounts, elsewhere: Accounts, time: Time) -> None:
    put(accounts, amount=5, per="month")
    one = Process(accounts, time)
    assert one.let_through(9) == 5
    one.rounds.finish()
    time.passed_s = 3 * 86_400.0
    two = Process(elsewhere, time)
    two.let_through(1)
    two.round()
    assert two.let_through(1) == 0


def test_what_cannot_be_written_is_written_by_the_next_round_and_once(
    accounts: Accounts, time: Time, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(accounts, amount=5, per="day")
    process = Process(accounts, time)
    assert process.let_through(3, rows=2) == 3

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    for broken in ("add", "lines"):
        with monkeypatch.context() as patch:
            patch.setattr(accounts.usage, broken, fail)
            process.round()
        assert process.let_through(0) == 0
    process.round()
    assert accounts.usage.sums("ann", "2026-12-01") == [DaySum("mpg", "2026-12-01", 3, 6)]
    assert process.let_through(5) == 2
    assert "could not be compared" in caplog.text


def test_a_round_is_due_twice_a_second_and_never_two_at_once(accounts: Accounts, time: Time) -> None:
    process = Process(accounts, time)
    assert not process.rounds.due()
    time.passed_s = EVERY_S
    assert process.rounds.due()
    put(accounts)
    process.limiter.replace(accounts.limits.in_force())
    process.let_through(1)
    run = process.rounds.take(lambda found: found())
    time.passed_s = 10.0
    assert not process.rounds.due()
    process.rounds.skip()  # there was no thread for it
    assert process.rounds.due()
    assert process.limiter.take() == {Key("ann", "mpg"): Counted(1, 1, 0)}
    assert callable(run)


def test_use_is_read_by_day_principal_and_model_page_by_page(accounts: Accounts) -> None:
    usage = accounts.usage
    for day in ("2026-11-30", "2026-12-01"):
        for process in ("a.1", "b.2"):
            usage.add(process, day, {Key("ann", "mpg"): Counted(1, 10, 2), Key("bob", "mpg"): Counted(4, 4, 0)})
    usage.add("a.1", "2026-12-01", {Key("ann", "boston"): Counted(1, 1, 0), Key("ann", "mpg"): Counted(1, 0, 0)})
    everything = [
        UsageRow("2026-11-30", "ann", "mpg", 2, 20, 4),
        UsageRow("2026-11-30", "bob", "mpg", 8, 8, 0),
        UsageRow("2026-12-01", "ann", "boston", 1, 1, 0),
        UsageRow("2026-12-01", "ann", "mpg", 3, 20, 4),
        UsageRow("2026-12-01", "bob", "mpg", 8, 8, 0),
    ]
    assert usage.rows(WantedUsage(), 200) == everything
    assert usage.rows(WantedUsage(), 2) == everything[:2]
    assert usage.rows(WantedUsage(after=("2026-11-30", "bob", "mpg")), 200) == everything[2:]
    assert usage.rows(WantedUsage(who="bob", until=day_of(NOON - 86_400)), 200) == everything[1:2]
    assert usage.rows(WantedUsage(model="boston", since=day_of(NOON)), 200) == everything[2:3]
    usage.forget(day_of(NOON + 400 * 86_400))
    assert usage.rows(WantedUsage(), 200) == everything[2:]
