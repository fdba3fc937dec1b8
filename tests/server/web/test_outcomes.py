"""What went wrong with a scoring request: every way has a code."""

from __future__ import annotations

from server.dispatch.messages import Refusal
from server.web.outcomes import REFUSED, REPLIED
from server.web.problems import CODES
from server.wire.frames import ReplyCode


def test_every_refusal_of_the_dispatcher_has_a_code() -> None:
    assert set(REFUSED) == set(Refusal) - {Refusal.ABANDONED}  # nobody is there to be answered
    assert set(REFUSED.values()) <= set(CODES)
    assert all(code == refusal.value for refusal, code in REFUSED.items())


def test_every_failure_of_a_worker_has_a_code() -> None:
    assert set(REPLIED) == set(ReplyCode) - {ReplyCode.OK}
    assert set(REPLIED.values()) <= set(CODES)
