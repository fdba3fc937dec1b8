"""The rules of endpoints: which names, models and percentages there may be."""

from __future__ import annotations

from typing import Any

import pytest

from server.endpoints.definition import BadDefinition, Endpoint, ModelRef, check_traffic, header_of, model_of, name_of

KNOWN = ("blue", "green", "red")


@pytest.mark.parametrize("name", ["a", "mpg", "whats-in-a-name", "A1", "x" * 32])
def test_names_that_may_be(name: str) -> None:
    assert name_of(name, "name") == name


@pytest.mark.parametrize("name", ["", "1a", "a-", "-a", "a_b", "a.b", "a/b", "x" * 33, "{{name}}", "ä", None, 3])
def test_names_that_may_not_be(name: Any) -> None:
    with pytest.raises(BadDefinition, match="1 to 32 letters") as raised:
        name_of(name, "name")
    assert (raised.value.code, raised.value.key) == ("bad_definition", "name")


def test_a_model_is_named_with_its_version() -> None:
    assert model_of("azureml:mpg:3") == model_of("mpg:3") == ModelRef("mpg", "3")
    for bad in ("mpg", "azureml:mpg", "mpg:", "mpg:3:4", "m p:3", "mpg:../3", "mpg:..", "mpg@champion", None, 3):
        with pytest.raises(BadDefinition, match="azureml:diabetes:3"):
            model_of(bad)


def test_a_header_is_kept_in_small_letters() -> None:
    assert header_of("X-Customer", "key_header") == "x-customer"
    for bad in ("", "X Customer", "x:y", "x\r\ny", None, "x" * 65):
        with pytest.raises(BadDefinition, match="name of a header"):
            header_of(bad, "key_header")


@pytest.mark.parametrize(
    "traffic", [{}, {"blue": 100}, {"blue": 90, "green": 10}, {"blue": 100, "green": 0}, {"red": 0}]
)
def test_percentages_that_may_be(traffic: dict[str, int]) -> None:
    check_traffic(Endpoint("e", traffic=traffic), KNOWN)


@pytest.mark.parametrize(
    ("traffic", "told"),
    [
        ({"blue": 99}, "add up to 99"),
        ({"blue": 90, "green": 20}, "add up to 110"),
        ({"blue": -1, "green": 101}, "whole number from 0 to 100"),
        ({"blue": 33.3, "green": 66.7}, "whole number"),
        ({"blue": "100"}, "whole number"),
        ({"blue": True, "green": 99}, "whole number"),
        ({"violet": 100}, "no deployment 'violet'; there is blue, green, red"),
    ],
)
def test_percentages_that_may_not_be(traffic: dict[str, Any], told: str) -> None:
    with pytest.raises(BadDefinition, match=told) as raised:
        check_traffic(Endpoint("e", traffic=traffic), KNOWN)
    assert (raised.value.code, raised.value.key) == ("bad_traffic", "traffic")


@pytest.mark.parametrize(
    ("mirror", "told"),
    [
        ({"green": 51}, "from 0 to 50"),
        ({"green": 2.5}, "from 0 to 50"),
        ({"blue": 10}, "live or mirrored"),
        ({"red": 10}, "no deployment 'red'"),
        ({"green": 10, "grey": 10}, "one deployment of an endpoint"),
    ],
)
def test_a_mirror_is_one_deployment_without_traffic_and_gets_half_at_most(mirror: dict[str, int], told: str) -> None:
    with pytest.raises(BadDefinition, match=told) as error:
        check_traffic(Endpoint("cars", traffic={"blue": 100}, mirror_traffic=mirror), ["blue", "green", "grey"])
    assert (error.value.code, error.value.key) == ("bad_traffic", "mirror_traffic")


def test_a_mirror_may_have_nothing_or_half() -> None:
    for share in (0, 50):
        check_traffic(Endpoint("cars", traffic={"blue": 100}, mirror_traffic={"green": share}), ["blue", "green"])
