"""Traces: what a model changes in its process, which every other model of that process would meet.

A probe notes what there is, has a model read and called, and looks at what has changed. A model that leaves traces gets
a process of its own (docs/adr/0017-traces.md). A worker looks after each call, and therefore cheaply.
"""

from __future__ import annotations

import ctypes
import locale
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import orjson

Changes = Mapping[str, str | None]
"""What has changed, in words: with the text of what is set now where nothing was before, else with None."""

TOLD = 12


class Part(Protocol):
    """One thing that the models of a process share."""

    def note(self) -> None:
        """What there is now is as it should be."""

    def unchanged(self) -> bool:
        """Whether it seems to be as noted; asked after each call, so it must take microseconds."""

    def changes(self) -> Changes:
        """What has changed since it was noted."""

    def packages(self) -> set[str]:
        """The packages that are loaded."""

    def load(self, packages: Iterable[str]) -> None:
        """Load packages, as far as that goes."""


class Traces:
    """All that the models of this process share."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def __bool__(self) -> bool:
        return bool(self._parts)

    def note(self) -> None:
        """What there is now is as it should be."""
        for part in self._parts:
            part.note()

    def unchanged(self) -> bool:
        """Whether nothing seems to have changed."""
        return all(part.unchanged() for part in self._parts)

    def changes(self) -> Changes:
        """What has changed since it was noted."""
        return {what: text for part in self._parts for what, text in part.changes().items()}

    def packages(self) -> list[set[str]]:
        """The packages that are loaded, by part."""
        return [part.packages() for part in self._parts]

    def load(self, packages: Sequence[Iterable[str]]) -> None:
        """Load packages, given as `packages` gives them."""
        for part, names in zip(self._parts, packages, strict=True):
            part.load(names)


class Control:
    """A fork of a probe that has met no model, to be asked what loading packages does by itself.

    Many packages set options of their own when they are loaded. Nobody else has a use for these, and they are no reason
    to give a model a process of its own; whatever was there before and is changed is one, whoever changed it.
    """

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self._before = traces.packages()
        asked, self._ask = os.pipe()
        self._answers, answer = os.pipe()
        if not os.fork():
            try:
                os.close(self._ask)
                self._answer(asked, answer)
            finally:
                os._exit(0)
        os.close(asked)
        os.close(answer)

    def left(self) -> list[str]:
        """What has been changed in this process by more than the packages that it has loaded, in words."""
        changes = self._traces.changes()
        if not changes:
            return []
        added = [list(now - before) for now, before in zip(self._traces.packages(), self._before, strict=True)]
        harmless = self._of_packages(added) if any(added) and any(changes.values()) else {}
        return [what for what, text in changes.items() if text is None or harmless.get(what) != text]

    def _of_packages(self, packages: Sequence[Sequence[str]]) -> Changes:
        with suppress(OSError):  # it crashed as it loaded them: then nobody can tell
            os.write(self._ask, orjson.dumps(packages) + b"\n")
            with open(self._answers, "rb", closefd=False) as answers:
                return dict(orjson.loads(answers.readline() or b"{}"))
        return {}

    def _answer(self, asked: int, answer: int) -> None:
        self._traces.note()
        with open(asked, "rb") as questions:
            for line in questions:
                self._traces.load(orjson.loads(line))
                os.write(answer, orjson.dumps(self._traces.changes()) + b"\n")


def reason(changed: Sequence[str]) -> str:
    """Why a model that changes this has a process of its own."""
    more = len(changed) - TOLD
    told = [*sorted(changed)[:TOLD], *([f"{more} more"] if more > 0 else [])]
    listed = " and ".join(filter(None, [", ".join(told[:-1]), told[-1]]))
    return f"reading or calling it changes {listed}, which other models of its process would meet"


class ProcessPart:
    """What any process has: the environment, the working directory, the locale, how numbers are rounded."""

    def __init__(self) -> None:
        self._environ = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ")
        self.note()

    def note(self) -> None:
        """See `Part`."""
        self._variables = self._read()
        self._size = 8 * (len(self._variables) + 1)
        self._pointers = self._look()
        self._others = self._quick()

    def unchanged(self) -> bool:
        """See `Part`."""
        return self._look() == self._pointers and self._quick() == self._others

    def changes(self) -> Changes:
        """See `Part`."""
        variables = self._read()
        found: dict[str, str | None] = {
            f"the environment variable {name}": variables.get(name) if name not in self._variables else None
            for name in variables.keys() | self._variables.keys()
            if variables.get(name) != self._variables.get(name)
        }
        names = ("the locale", "the working directory", "how the processor rounds")
        return found | {
            name: None for name, now, then in zip(names, self._quick(), self._others, strict=True) if now != then
        }

    def packages(self) -> set[str]:
        """See `Part`."""
        return set()

    def load(self, packages: Iterable[str]) -> None:
        """See `Part`."""

    def _quick(self) -> tuple[str, str, tuple[float, ...]]:
        return locale.setlocale(locale.LC_ALL), _folder(), _rounded(sys.float_info.min)

    def _look(self) -> bytes:
        """Where the variables are: R sets them past Python, and each that is set anew is put somewhere else."""
        start = self._environ.value
        return ctypes.string_at(start, self._size) if start else b""

    def _read(self) -> dict[str, str]:
        """The C library's variables."""
        found: dict[str, str] = {}
        if not self._environ.value:
            return found
        pointers = ctypes.cast(self._environ.value, ctypes.POINTER(ctypes.c_char_p))
        for one in iter_until_null(pointers):
            name, _, value = one.decode("utf-8", "backslashreplace").partition("=")
            found.setdefault(name, value)
        return found


def iter_until_null(pointers: Any) -> Iterable[bytes]:
    """The texts of a C array that ends with a null pointer."""
    at = 0
    while (text := pointers[at]) is not None:
        yield text
        at += 1


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 (Path.cwd takes ten times as long)
    except OSError:  # it was removed
        return ""


def _rounded(tiny: float) -> tuple[float, ...]:
    """Differs where numbers are rounded otherwise, or where the smallest are taken for zero (as -ffast-math does)."""
    return tiny / 2, 1.0 + tiny, 1.0 - tiny
