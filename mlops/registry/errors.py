"""What the registry refuses, each with a code from a closed set."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "unknown_model",
    "unknown_version",
    "unknown_alias",
    "unknown_file",
    "bad_reference",
    "bad_version",
    "duplicate_version",
    "duplicate_run",
    "stale_alias",
    "in_use",
    "damaged_version",
]


class RegistryError(Exception):
    """The registry refuses. The text says what was wrong and what to do about it."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
