"""Inputs that somebody has stated, in a sidecar or an MLflow signature, beside those that the model itself tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def from_signature(signature: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The inputs that have names in an MLflow signature, as a sidecar would state them."""
    members = ("name", "type", "shape")
    return [{k: one[k] for k in members if k in one} for one in signature if one["name"] is not None]


def corrected(inputs: Sequence[Mapping[str, Any]], stated: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Inputs read from the model, with those that the sidecar states replacing or joining them by name.

    A stated input need only say what differs; one that changes the type drops the levels and allowed numbers it had.
    """
    merged = {i["name"]: dict(i) for i in inputs}
    for one in stated:
        old = merged.get(one["name"], {})
        if one.get("type", old.get("type")) != old.get("type"):
            old = {k: v for k, v in old.items() if k not in ("levels", "allowed")}
        merged[one["name"]] = {**old, **{k: v for k, v in one.items() if v is not None}}
    return list(merged.values())
