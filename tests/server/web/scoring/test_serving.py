"""What a web process serves: the gauges of its pools."""

from __future__ import annotations

from types import SimpleNamespace

from server.config import Settings
from server.dispatch.messages import Generation, Limits, ModelPolicy, Request
from server.dispatch.state import DispatchState
from server.web.scoring.serving import Serving


class Gauges:
    """What was set last, by pool."""

    def __init__(self) -> None:
        self.set: dict[str, tuple[int, int, float]] = {}

    def load(self, pool: str, waiting: int, inflight: int, longest_wait_s: float) -> None:
        self.set[pool] = waiting, inflight, longest_wait_s


def test_a_pool_that_has_gone_has_nobody_waiting() -> None:
    state = DispatchState(Limits())
    state.on_generation(Generation("script3", 1, {"a/1": ModelPolicy("a", 1)}))
    assert state.on_submit(Request("script3", "a", "a/1", None, 10, 1e9, 0.0), 0.0) is None
    gauges = Gauges()
    serving = Serving(Settings(), gauges)
    serving._dispatchers = {"script3": SimpleNamespace(state=state)}
    serving.measure()
    waiting, inflight, longest_wait_s = gauges.set["script"]
    assert (waiting, inflight) == (1, 1)
    assert longest_wait_s > 0
    serving._dispatchers = {}
    serving.measure()
    assert gauges.set == {"script": (0, 0, 0.0)}
