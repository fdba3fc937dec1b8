"""What a deployment's file says of recording, in our words and in Azure's."""

from __future__ import annotations

from typing import Any

import pytest

from server.endpoints.collecting import collect_of
from server.endpoints.definition import BadDefinition
from server.wire.collect import Collect

AZURE = {
    "collections": {"model_inputs": {"enabled": "True"}, "model_outputs": {"enabled": True}},
    "sampling_rate": 0.7,
    "rolling_rate": "hour",
}


def test_ours_and_azures_are_the_same_thing() -> None:
    assert collect_of({}) is None
    assert collect_of({"collect": {}}) == Collect()
    assert collect_of({"collect": {"mask": {"name": "drop"}, "sampling": 0.1}}) == Collect(0.1, mask={"name": "drop"})
    assert collect_of({"data_collector": AZURE}) == Collect(0.7)
    one = AZURE | {"collections": {"model_inputs": {"enabled": "True"}}}
    assert collect_of({"data_collector": one}) == Collect(0.7, outputs=False)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"collect": {}, "data_collector": {}}, "leave one of them out"),
        ({"collect": {"sampling": 2}}, "sampling from 0 to 1"),
        ({"collect": {"keep_days": 0}}, "keep_days from 1"),
        ({"collect": {"masks": {}}}, "unknown key 'masks'"),
        ({"collect": {"mask": {"name": "hide"}}}, "Collect.mask"),
        ({"collect": 3}, "cannot be read"),
        ({"data_collector": {"request": {}}}, "has the keys collections"),
        ({"data_collector": {"collections": {"mine": {}}}}, "a script's own collections"),
        ({"data_collector": {"sampling_rate": "all"}}, "Collect.sampling"),
    ],
)
def test_what_is_wrong_is_told(data: dict[str, Any], told: str) -> None:
    with pytest.raises(BadDefinition, match=told):
        collect_of(data)
