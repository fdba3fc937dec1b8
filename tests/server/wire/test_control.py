"""Messages of web processes: unchanged by the way, and told from each other by their members."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.control import Confirmed, Kill, message
from server.wire.record import Misfit, Record


@given(st.builds(Confirmed, st.integers(0, 2**53)) | st.builds(Kill, st.text(), st.text()))
def test_a_message_crosses_the_socket_unchanged(sent: Record) -> None:
    assert message(orjson.loads(orjson.dumps(sent.to_data()))) == sent


def test_what_is_said_is_what_the_module_shows() -> None:
    assert Confirmed(7).to_data() == {"confirmed": 7}
    assert Kill("r-1.1", "deadline").to_data() == {"kill": "r-1.1", "reason": "deadline"}


@pytest.mark.parametrize("data", [None, 1, [], {}, {"confirmed": True}, {"kill": "r-1.1"}, {"kill": 1, "reason": ""}])
def test_what_is_no_message_is_refused(data: Any) -> None:
    with pytest.raises(Misfit):
        message(data)
