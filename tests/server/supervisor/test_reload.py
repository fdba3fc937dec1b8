"""What may change while Tandem runs."""

from __future__ import annotations

from typing import get_args

import pytest

from server.config import Change, Settings, changes_of, changing
from server.supervisor.reload import merged


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_its_change_takes(name: str) -> None:
    changes = changes_of(name)
    assert changes
    assert set(changes) <= set(get_args(Change))
    assert len(changes) == 1 or not {"restart", "at_once"} & set(changes), "what takes nothing or all takes no more"


def test_what_has_another_address_or_folder_takes_a_restart() -> None:
    assert changing("restart") >= {"host", "port", "data", "r_models", "python_models", "sandbox"}
    assert changing("web") & changing("workers") == {"batch_max_rows", "max_body_mb"}


def test_what_cannot_change_keeps_its_value_and_is_named() -> None:
    now = Settings(port=1, timeout_s=2)
    settings, changed, need_restart = merged(now, Settings(port=7, timeout_s=3))
    assert (settings.port, settings.timeout_s) == (1, 3)
    assert (changed, need_restart) == ({"timeout_s"}, {"port"})


def test_nothing_changes_by_reading_the_same_again() -> None:
    assert merged(Settings(port=1), Settings(port=1)) == (Settings(port=1), frozenset(), frozenset())
