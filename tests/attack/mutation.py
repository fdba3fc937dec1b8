"""What the fuzzers stand on: the kept corpus, changes to it, and how many are tried.

`corpus/<kind>/` holds small inputs that get far into a decoder, and every one that once broke it: a file that made
something fail is kept there under a name that says so. A name that ends in `.gz` is of a file too large to keep as it
is; only such ones are read unchanged, and not changed, which would take too long.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).with_name("corpus")
SHORT = 20
BUDGET = int(os.environ.get("FUZZ_EXAMPLES", SHORT))
"""The one setting of all fuzzers; as many requests of each kind does test_openapi_fuzz.py send to each operation."""
TRIES = 10 * BUDGET
"""Inputs of each kind that a decoder is given, which costs far less than a request to a server."""
LARGEST_CHANGED = 1 << 16
LAST = CORPUS.parents[2] / ".hypothesis" / f"last-input-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
"""What is being tried, where it is not the same in every run: compiled code that crashes leaves nothing else."""

NUMBERS = tuple(
    value.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for value in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
    for order in ("little", "big")
)
"""Sizes and counts that a length in the middle of an input may be taken for."""


def files(*kinds: str) -> list[Any]:
    """Every kept file of these kinds as (kind, its bytes), for parametrize."""
    paths = [path for kind in kinds for path in sorted((CORPUS / kind).iterdir())]
    return [pytest.param(path.parent.name, read(path), id=f"{path.parent.name}-{path.name}") for path in paths]


def read(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


@dataclass(frozen=True)
class Change:
    """One thing done to an input; `at` is a place in it, from 0 to 1."""

    does: str
    at: float
    size: int
    piece: bytes

    def applied(self, data: bytes) -> bytes:
        at = int(self.at * len(data))
        before, there, after = data[:at], data[at : at + self.size], data[at + self.size :]
        match self.does:
            case "flip":
                return before + bytes(byte ^ (1 << self.size % 8) for byte in data[at : at + 1]) + data[at + 1 :]
            case "overwrite":
                return before + self.piece + data[at + len(self.piece) :]
            case "insert":
                return before + self.piece + data[at:]
            case "repeat":
                return before + there * (2 + self.size) + after
            case "remove":
                return before + after
            case _:
                return before  # cut off

    def __repr__(self) -> str:
        return f"{self.does}({self.at:.3f}, {self.size}, {self.piece!r})"


def kept(kind: str) -> list[bytes]:
    """Kept files of a kind that are small enough to be changed."""
    return [data for path in sorted((CORPUS / kind).iterdir()) if len(data := read(path)) <= LARGEST_CHANGED]


def inputs(kind: str, *words: bytes) -> st.SearchStrategy[bytes]:
    """Kept files of a kind with one to six changes; `words` are what its format gives a meaning to."""
    seeds = kept(kind)
    pieces = st.one_of(
        st.sampled_from([*words, *NUMBERS]),
        st.binary(min_size=1, max_size=8),
        st.builds(lambda seed, at, size: seed[at : at + size], st.sampled_from(seeds), *[st.integers(0, 200)] * 2),
    )
    does = st.sampled_from(["flip", "overwrite", "insert", "repeat", "remove", "cut"])
    change = st.builds(Change, does, st.floats(0, 1), st.integers(0, 40), pieces)
    return st.builds(_changed, st.sampled_from(seeds), st.lists(change, min_size=1, max_size=6))


def _changed(seed: bytes, changes: list[Change]) -> bytes:
    for change in changes:
        seed = change.applied(seed)
    if BUDGET > SHORT:
        LAST.parent.mkdir(exist_ok=True)
        LAST.write_bytes(seed)
    return seed


def fuzzed(tries: int = TRIES, **arguments: st.SearchStrategy[Any]) -> Callable[[Any], Any]:
    """As `given`, within the budget: always the same inputs in the short form, others each time in a longer one."""

    def decorated(test: Any) -> Any:
        limits = settings(
            max_examples=tries,
            derandomize=BUDGET <= SHORT,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        return limits(hypothesis.given(**arguments)(test))

    return decorated
