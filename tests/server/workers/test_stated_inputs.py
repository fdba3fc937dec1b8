"""Inputs that are stated: what a sidecar corrects, and what an MLflow signature tells."""

from __future__ import annotations

from server.workers.stated_inputs import corrected, from_signature

FOUND = [{"name": "x", "type": "numeric", "na": False}, {"name": "f", "type": "factor", "levels": ["a"], "na": True}]


def test_a_stated_input_changes_only_what_it_says() -> None:
    assert corrected(FOUND, [{"name": "x", "na": True}])[0] == {"name": "x", "type": "numeric", "na": True}


def test_a_stated_input_that_the_model_does_not_name_joins_at_the_end() -> None:
    assert [i["name"] for i in corrected(FOUND, [{"name": "new", "type": "string"}])] == ["x", "f", "new"]


def test_a_changed_type_drops_the_levels_it_had() -> None:
    assert corrected(FOUND, [{"name": "f", "type": "string"}])[1] == {"name": "f", "type": "string", "na": True}


def test_the_same_type_keeps_the_levels() -> None:
    assert corrected(FOUND, [{"name": "f", "type": "factor"}])[1] == FOUND[1]


def test_stated_nothing_is_not_a_statement() -> None:
    assert corrected(FOUND, [{"name": "x", "type": None, "na": None}]) == FOUND


def test_corrections_leave_what_was_found_as_it_was() -> None:
    before = [dict(i) for i in FOUND]
    corrected(FOUND, [{"name": "x", "na": True}])
    assert before == FOUND


def test_a_signature_tells_the_inputs_that_have_names_without_what_is_no_part_of_a_statement() -> None:
    signature = [{"name": "x", "type": "numeric", "optional": True}, {"name": None, "type": "tensor", "shape": [3]}]
    assert from_signature(signature) == [{"name": "x", "type": "numeric"}]
