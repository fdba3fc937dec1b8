"""What a library warned of, as texts for callers and for a model's details."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

MAX_WARNINGS = 20

FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
"""Warnings that a caller of the model can do nothing about."""


def distinct(caught: Iterable[warnings.WarningMessage], developers_too: bool = False) -> tuple[str, ...]:
    """The texts of warnings, each once and in order, at most the first twenty."""
    texts = [str(w.message) for w in caught if developers_too or not issubclass(w.category, FOR_DEVELOPERS)]
    return tuple(dict.fromkeys(texts))[:MAX_WARNINGS]
