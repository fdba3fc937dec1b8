"""Which inputs may be missing is found in few questions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from server.workers.python import missing

NAMES = [f"x{number}" for number in range(4000)]


@pytest.mark.parametrize(
    ("refusing", "most"), [(set(), 1), ({"x7", "x2500"}, 300), ({"x3998", "x3999"}, 200)], ids=["none", "far", "near"]
)
def test_of_thousands_of_inputs_those_that_may_be_missing_are_found_in_few_questions(
    refusing: set[str], most: int
) -> None:
    asked: list[Sequence[str]] = []

    def bears(names: Sequence[str]) -> bool:
        asked.append(names)
        return refusing.isdisjoint(names)

    assert missing.may_be(bears, NAMES) == set(NAMES) - refusing
    assert len(asked) <= most


def test_what_could_not_be_asked_in_time_may_not_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "ENOUGH_S", 0)
    assert missing.may_be(lambda names: True, NAMES) == set()


def test_without_inputs_nothing_is_asked() -> None:
    assert missing.may_be(lambda names: False, []) == set()
