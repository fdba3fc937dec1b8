"""The rule about whole numbers: a double holds each of them up to 2^53, and rounds some beyond.

A model's numbers are doubles, so a whole number beyond 2^53 would be another one by the time the model sees it. It is
refused instead. Arrow's checked casts have the same rule.
"""

from __future__ import annotations

MOST = 2**53
"""The largest whole number up to which a double holds all of them."""


def is_held(number: int) -> bool:
    """Whether a double holds this whole number as it is."""
    return -MOST <= number <= MOST


def are_held(least: float, most: float) -> bool:
    """Whether all whole numbers that were read as doubles between these two are what was written.

    The bound is left out: it may be what 2^53 + 1 was rounded to.
    """
    return least > -MOST and most < MOST
