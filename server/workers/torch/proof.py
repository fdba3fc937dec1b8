"""Whether rows may be predicted together: sample rows alone and in batches of several sizes must give the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from server.workers.errors import ModelFailed
from server.workers.torch.engine import Engine

ROWS = 64
FEW_ROWS = 8
QUICK_S = 0.003
"""Seconds for a row above which it is tried with few others only. A large network on a CPU must not take minutes."""

STEPS = (1, 2, 4, 8)
MULTIPLES = (1, 2, 3, 5, 8, 13, 64)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a model is row-wise, if its calls have multiples of `step` rows, and what to say of it."""

    rowwise: bool
    reason: str
    step: int = 1


@torch.inference_mode()
def prove(engine: Engine, sample: Sequence[Tensor], tolerance: float | None) -> Verdict:
    """Find out how rows can be computed together; `sample` has ROWS rows. Raises ModelFailed.

    Either a tolerance was stated and rows differ by no more, or they have the same bits alone and together, at the
    price of a few rows more a call. `engine` is left with the step that was found.
    """
    if engine.max_rows == 1:
        return Verdict(False, "the program takes one row a call")
    quick = min(_seconds(engine, sample) for _ in range(3)) < QUICK_S
    rows = ROWS if quick else FEW_ROWS
    found = _largest(engine, sample, rows)
    compared = f"{rows} sample rows scored together and alone"
    if found == 0:
        return Verdict(True, f"{compared} gave the same bits")
    if tolerance is not None:
        within = found <= tolerance
        limit = f"{'within' if within else 'more than'} the stated tolerance of {tolerance:g}"
        return Verdict(within, f"{compared} differ by up to {found:.2g}, {limit}")
    if quick and engine.min_rows == 1:
        most = engine.max_rows
        for step in (step for step in STEPS if 1 < step <= most):
            engine.step_by(step)
            if _largest(engine, sample, rows) == 0:
                return Verdict(True, f"{compared} gave the same bits, where calls have multiples of {step} rows", step)
        engine.max_rows = most
        engine.step_by(1)
    return Verdict(False, f"{compared} differ by up to {found:.2g}, and torch.tolerance is not stated")


def _seconds(engine: Engine, sample: Sequence[Tensor]) -> float:
    started = perf_counter()
    engine.run([a[:1] for a in sample])
    return perf_counter() - started


def _largest(engine: Engine, sample: Sequence[Tensor], rows: int) -> float:
    """The largest difference between the answers to rows alone and together, in several sizes."""
    alone = torch.cat([engine.run([a[i : i + 1] for a in sample]) for i in range(rows)])
    largest = 0.0
    for size in sorted({min(engine.step * multiple, rows) for multiple in MULTIPLES}):
        pieces = [engine.run([a[i : min(i + size, rows)] for a in sample]) for i in range(0, rows, size)]
        largest = max(largest, difference(torch.cat(pieces), alone))
    return largest


def difference(given: Tensor, expected: Tensor) -> float:
    """The largest difference of two tensors, relative to one plus the expected size; infinite where NaN disagrees."""
    if given.shape != expected.shape:
        raise ModelFailed("the model's answers change their shape with the number of rows")
    same = (given == expected) | (given.isnan() & expected.isnan())
    if bool(same.all()):
        return 0.0
    apart = (given.double() - expected.double()).abs() / (1 + expected.double().abs())
    found = apart[~same]
    return float("inf") if bool(found.isnan().any()) else float(found.max())
