"""Assignment of requests to deployments: shares are exact, keys stay, and few move."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from scipy.stats import chisquare

from server.endpoints.traffic import Split

KEYS = [f"request-{n:06d}".encode() for n in range(10_000)]


def assigned(weights: dict[str, int], ready: str = "", endpoint: str = "e") -> list[str | None]:
    split = Split(endpoint, weights, ready.split() if ready else list(weights))
    return [choice.name if (choice := split.choose(key)) else None for key in KEYS]


def cases() -> list[dict[str, int]]:
    """Percentages of up to five deployments that add up to 100."""
    drawn = random.Random(18)
    found = [{"blue": 90, "green": 10}, {"blue": 50, "green": 50}, {"blue": 1, "green": 99}]
    for _ in range(6):
        cuts = sorted(drawn.sample(range(1, 100), drawn.randint(1, 4)))
        found.append({f"d{n}": b - a for n, (a, b) in enumerate(zip([0, *cuts], [*cuts, 100], strict=True))})
    return found


@pytest.mark.parametrize("weights", cases(), ids=str)
def test_shares_are_those_of_the_weights(weights: dict[str, int]) -> None:
    counted = Counter(assigned(weights))
    expected = [len(KEYS) * weight / 100 for weight in weights.values()]
    assert chisquare([counted[name] for name in weights], expected).pvalue > 0.001


@pytest.mark.parametrize("weights", cases(), ids=str)
def test_the_same_key_gets_the_same_deployment_at_every_server(weights: dict[str, int]) -> None:
    shuffled = dict(sorted(weights.items(), key=lambda item: item[0][::-1]))
    assert assigned(weights) == assigned(shuffled)
    assert len(weights) < 2 or assigned(weights) != assigned(weights, endpoint="f"), "endpoints are independent"


def test_a_larger_share_moves_keys_one_way_alone() -> None:
    before, after = (assigned({"blue": 100 - share, "green": share}) for share in (10, 50))
    moved = Counter((a, b) for a, b in zip(before, after, strict=True) if a != b)
    assert set(moved) == {("blue", "green")}
    assert moved["blue", "green"] / len(KEYS) == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("weights", cases(), ids=str)
def test_where_a_deployment_drops_out_its_keys_alone_move_and_are_known_as_rerouted(weights: dict[str, int]) -> None:
    lost, *left = weights
    split = Split("e", weights, left)
    for key, name in zip(KEYS[:2000], assigned(weights), strict=False):
        choice = split.choose(key)
        assert choice is not None
        assert choice.name == name if name != lost else choice.name in left
        assert choice.rerouted == (name == lost)


def test_what_has_no_weight_or_cannot_answer_gets_nothing() -> None:
    assert set(assigned({"blue": 100, "green": 0})) == {"blue"}
    assert set(assigned({"blue": 0, "green": 0})) == {None}
    assert set(assigned({})) == {None}
    assert set(assigned({"blue": 100}, ready="green")) == {None}
    assert set(assigned({"blue": 60, "green": 40}, ready="red")) == {None}
