"""Which deployment answers a request: a weighted rendezvous hash, so all processes and servers agree without a word.

Pure: a split is prepared once for each state of an endpoint, and a choice depends on the request's key alone. A change
of weights moves as few keys as it can, and where a deployment drops out its keys alone go elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import blake2b
from math import log
from typing import NamedTuple

_DIGEST_BYTES = 8
_SPAN = float(1 << 8 * _DIGEST_BYTES)


class Choice(NamedTuple):
    """The deployment that answers a request."""

    name: str
    rerouted: bool
    """Whether another one should have, which cannot answer at present."""


class Split:
    """The deployments of one endpoint, each with its share of the requests."""

    def __init__(self, endpoint: str, weights: Mapping[str, int], ready: Collection[str]) -> None:
        """`weights` are percentages by deployment; `ready` are the deployments that can answer now."""
        wanted = sorted((name, weight) for name, weight in weights.items() if weight > 0)
        self._ranked = [(name, weight, _hash_of(endpoint, name), name in ready) for name, weight in wanted]
        self._only = _only_choice(wanted, ready)

    def choose(self, key: bytes) -> Choice | None:
        """Where a request with this key goes; None where no deployment with a weight can answer."""
        if self._only is not None:
            return self._only
        best = best_ready = None
        cost = cost_ready = 0.0
        for name, weight, begun, ready in self._ranked:
            found = begun.copy()
            found.update(key)
            # An exponential variate of this rate: the least of several is each one's with its share of the weights.
            drawn = -log((int.from_bytes(found.digest()) + 1.0) / _SPAN) / weight
            if best is None or drawn < cost:
                best, cost = name, drawn
            if ready and (best_ready is None or drawn < cost_ready):
                best_ready, cost_ready = name, drawn
        return None if best_ready is None else Choice(best_ready, best_ready != best)


def _only_choice(wanted: list[tuple[str, int]], ready: Collection[str]) -> Choice | None:
    """The choice where there is but one: then no key has to be hashed."""
    if len(wanted) == 1 and wanted[0][0] in ready:
        return Choice(wanted[0][0], rerouted=False)
    return None


def _hash_of(endpoint: str, name: str) -> blake2b:
    """A hash that has seen what all requests have in common."""
    return blake2b(f"{endpoint}\0{name}\0".encode(), digest_size=_DIGEST_BYTES)
