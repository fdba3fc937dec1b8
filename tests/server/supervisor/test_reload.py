"""What may change while Tandem runs."""

from __future__ import annotations

from server.config import Settings
from server.pools.pool import WORKERS_KNOW
from server.supervisor.reload import FIXED, OF_WEB, merged

OF_POOLS = {*WORKERS_KNOW, "r_workers", "python_workers", "torch_threads", "worker_memory_mb"}
AT_ONCE = {"settle_s", "load_timeout_s", "install_timeout_s", "drain_s"}


def test_of_every_setting_it_is_decided_how_it_changes() -> None:
    assert set(Settings.model_fields) == FIXED | OF_WEB | OF_POOLS | AT_ONCE
    assert not FIXED & (OF_WEB | OF_POOLS | AT_ONCE)


def test_what_cannot_change_keeps_its_value_and_is_named() -> None:
    now = Settings(port=1, timeout_s=2)
    settings, changed, need_restart = merged(now, Settings(port=7, timeout_s=3))
    assert (settings.port, settings.timeout_s) == (1, 3)
    assert (changed, need_restart) == ({"timeout_s"}, {"port"})


def test_nothing_changes_by_reading_the_same_again() -> None:
    assert merged(Settings(port=1), Settings(port=1)) == (Settings(port=1), frozenset(), frozenset())
