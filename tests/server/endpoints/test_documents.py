"""What becomes of an endpoint's documents when somebody changes them."""

from __future__ import annotations

from typing import Any

import pytest

from server.endpoints.definition import BadDefinition, Refusal
from server.endpoints.documents import OWN, changed, defined
from server.endpoints.state import state_of
from server.wire.control import Action, EndpointChange

BLUE = {"name": "blue", "endpoint_name": "cars", "model": "azureml:mpg:1"}
CARS = {"name": "cars", "traffic": {"blue": 100}}
DOCUMENTS = {OWN: CARS, "blue": BLUE}


def change(action: Action, deployment: str = "", document: Any = None, **more: Any) -> EndpointChange:
    return EndpointChange(0, action, "cars", deployment, document or {}, **more)


def test_an_endpoint_is_built_step_by_step_and_taken_down_again() -> None:
    made = changed({}, change("put", document={"tags": {"team": "a"}}))
    assert made == {OWN: {"name": "cars", "tags": {"team": "a"}}}
    made = changed(made, change("put", "blue", {"model": "azureml:mpg:1"}))
    assert made["blue"] == BLUE
    made = changed(made, change("patch", document={"traffic": {"blue": 100}, "tags": None}))
    assert made[OWN] == CARS
    with pytest.raises(Refusal, match="'blue' has traffic"):
        changed(made, change("delete", "blue"))
    assert changed(made, change("put", document={})) == {OWN: {"name": "cars", "traffic": {"blue": 100}}, "blue": BLUE}
    made = changed(made, change("patch", document={"traffic": {"blue": 0}}))
    assert changed(made, change("delete", "blue")) == {OWN: {"name": "cars", "traffic": {}}}
    assert changed(made, change("delete")) == {}


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        (change("patch", document={"traffic": {"blue": 99}}), "bad_traffic", "add up to 99"),
        (change("patch", document={"traffic": {"green": 100}}), "bad_traffic", "no deployment 'green'; there is blue"),
        (change("put", "green", {}), "bad_definition", "deployment 'green': 'model' is None"),
        (change("put", "green", {"model": "m:1", "name": "red"}), "bad_definition", "the address says 'green'"),
        (change("put", "green", {"model": "m:1", "mode1": 1}), "unsupported_field", "'mode1' is not supported"),
        (change("put", "-", {"model": "m:1"}), "bad_definition", "'name' is '-'"),
        (change("patch", "green", {}), "not_found", "no deployment 'green' of 'cars'"),
        (change("delete", "green"), "not_found", "no deployment 'green' of 'cars'"),
        (change("put", new=True), "precondition_failed", "the endpoint 'cars' already"),
        (change("delete", revisions=("old",)), "precondition_failed", "Look again"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_code(asked: EndpointChange, code: str, told: str) -> None:
    with pytest.raises((BadDefinition, Refusal)) as refused:
        changed(DOCUMENTS, asked)
    assert isinstance(refused.value, BadDefinition | Refusal)
    assert (refused.value.code, told in refused.value.text) == (code, True), refused.value.text


def test_a_deployment_that_is_mirrored_stays_until_it_is_not() -> None:
    green = {"name": "green", "endpoint_name": "cars", "model": "azureml:mpg:2"}
    documents = {OWN: CARS | {"mirror_traffic": {"green": 10}}, "blue": BLUE, "green": green}
    assert state_of(defined("cars", documents)).mirror_traffic == {"green": 10}
    with pytest.raises(Refusal, match="'green' has mirror_traffic"):
        changed(documents, change("delete", "green"))
    quiet = changed(documents, change("patch", document={"mirror_traffic": {"green": 0}}))
    assert changed(quiet, change("delete", "green"))[OWN] == CARS | {"mirror_traffic": {}}


def test_what_is_not_there_can_only_be_put() -> None:
    for asked in (change("patch"), change("delete"), change("put", "blue", {"model": "m:1"})):
        with pytest.raises(Refusal, match=r"no endpoint 'cars'"):
            changed({}, asked)
    with pytest.raises(Refusal, match="it is gone"):
        changed({}, change("put", revisions=("*",)))


def test_of_two_who_have_seen_the_same_revision_one_is_refused() -> None:
    revision = state_of(defined("cars", DOCUMENTS)).revision
    asked = change("patch", document={"description": "new"}, revisions=("other", revision))
    after = changed(DOCUMENTS, asked)
    with pytest.raises(Refusal, match="was changed since you looked"):
        changed(after, asked)
    assert changed(after, change("delete", revisions=("*",))) == {}
