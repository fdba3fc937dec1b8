"""The scoring route over real HTTP: what a caller gets, and what every kind of bad request is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Tandem

CAR = {"wt": 2.6, "hp": 110, "cyl": "6"}


def test_a_row_is_scored(tandem: Tandem) -> None:
    reply = tandem.score("mpg", {"rows": [CAR]})
    assert reply.status_code == 200
    assert reply.json()["predictions"] == [pytest.approx(21.67, abs=0.01)]
