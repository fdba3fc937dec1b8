"""Sample rows for an example and for the proof that rows may be joined: no model file holds its training data."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from server.wire.schema import Input, Schema
from server.workers.python.tree import estimators

WORDS = ("how", "do", "i", "reset", "my", "password", "price", "of", "the", "report", "server", "answers", "slowly")
SCALES = (0.1, 1.0, 10.0, 1000.0)

Middles = Mapping[str, float]
"""A usual value of each numeric input, by its name."""


def middles(model: Any, names: Sequence[str]) -> Middles:
    """Usual values of numeric inputs, where a part of the model that sees them all remembers some."""
    for one in estimators(model):
        for attribute in ("mean_", "center_", "statistics_", "theta_", "cluster_centers_", "data_min_"):
            value = getattr(one, attribute, None)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.shape[-1:] == (len(names),):
                usual = value.reshape(-1, len(names)).mean(axis=0).tolist()
                return dict(zip(names, usual, strict=True))
        thresholds = _thresholds(one, len(names))
        if thresholds is not None:
            return {name: float(np.median(t)) for name, t in zip(names, thresholds, strict=True) if len(t)}
    return {}


def _thresholds(one: Any, width: int) -> list[Any] | None:
    tree = one.__dict__.get("tree_")
    if tree is None or tree.n_features != width:
        return None
    return [tree.threshold[tree.feature == i] for i in range(width)]


def example(schema: Schema, usual: Middles) -> dict[str, Any]:
    """One plausible row."""
    return {spec.name: _usual(spec, usual) for spec in schema.inputs}


def _usual(spec: Input, usual: Middles) -> Any:
    match spec.type:
        case "numeric":
            if spec.allowed:
                return spec.allowed[0]
            return float(f"{usual.get(spec.name, 0.0):.6g}")
        case "integer":
            return 0
        case "logical":
            return True
        case "date":
            return "2026-01-31"
        case "datetime":
            return "2026-01-31T12:30:00Z"
        case "tensor":
            return _filled(spec.shape or (), lambda: 0.0)
    return spec.levels[0] if spec.levels else " ".join(WORDS[:6])


def rows(schema: Schema, example: Mapping[str, Any], count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows around the example and far from it; some with missing values where they are allowed."""
    chance = random.Random(seed)
    yield dict(example)
    for number in range(1, count):
        row = {spec.name: _drawn(spec, example.get(spec.name), chance, number) for spec in schema.inputs}
        if number % 8 == 0:
            row |= {s.name: None for s in schema.inputs if s.na and chance.random() < 0.3}
        yield row


def _drawn(spec: Input, usual: Any, chance: random.Random, number: int) -> Any:
    match spec.type:
        case "numeric":
            if spec.allowed:
                return chance.choice(spec.allowed)
            if number % 2 and type(usual) in (int, float):
                return usual * chance.gauss(1, 0.3) + chance.gauss(0, 0.1)
            return chance.gauss(0, SCALES[number // 2 % len(SCALES)])
        case "integer":
            return chance.randint(-5, 20)
        case "logical":
            return chance.random() < 0.5
        case "date" | "datetime":
            return usual
        case "tensor":
            return _filled(spec.shape or (), lambda: float(chance.randint(-5, 20)))
    if spec.levels:
        return chance.choice(spec.levels)
    return usual if number % 3 == 0 else " ".join(chance.choices(WORDS, k=chance.randint(1, 8)))


def _filled(shape: Sequence[int | None], number: Callable[[], float]) -> Any:
    """Nested lists of a shape, with one element where any number will do."""
    if not shape:
        return number()
    return [_filled(shape[1:], number) for _ in range(shape[0] or 1)]
