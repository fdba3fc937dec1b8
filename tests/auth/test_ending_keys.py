import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from auth.accounts import Accounts
from auth.api_keys import DAY_S
from auth.ending_keys import EVERY_S, EndingKeys
from auth.errors import AccountsUnavailable
from auth.principal import Allowance
from auth.setup import open_auth, prepare


def test_the_store_is_asked_once_a_minute_also_where_a_clock_was_set_back() -> None:
    asked: list[float] = []
    ending = EndingKeys(lambda now: asked.append(now) or len(asked))  # type: ignore[func-returns-value]
    assert ending.due(1000.0)
    ending.take(1000.0)()
    assert ending.count == 1
    assert not ending.due(1000.0 + EVERY_S - 1)
    assert ending.due(1000.0 + EVERY_S) and ending.due(999.0)


@pytest.mark.parametrize("problem", [AccountsUnavailable("away"), OSError("broken")])
def test_while_nobody_can_look_the_last_count_stays(problem: Exception, caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([3, problem])

    def note(_: float) -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    ending = EndingKeys(note)
    with caplog.at_level("INFO"):
        ending.take(1000.0)()
        ending.take(2000.0)()
    assert ending.count == 3
    assert "the keys that end soon" in caplog.text


def test_a_web_process_keeps_count_of_them(tmp_path: Path) -> None:
    prepare(tmp_path, 1000.0)
    with closing(Accounts(tmp_path / "accounts.sqlite")) as accounts:
        accounts.keys.add("admin", "nightly", Allowance(frozenset({"score"})), 1, "root", 1000.0)
    auth = open_auth(tmp_path, clock=lambda: 1000.0 + 0.9 * DAY_S)

    async def keep() -> None:
        auth.keep_books()

    asyncio.run(keep())
    auth.login.writing.close()
    assert auth.ending.count == 2
    auth.close()
