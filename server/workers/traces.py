"""Traces: what a model changes in its process, which every other model of that process would meet.

A probe notes what there is, has a model read and called, and looks at what has changed. A model that leaves traces gets
a process of its own (docs/adr/0017-traces.md). A worker looks after each call, and therefore cheaply.
"""

from __future__ import annotations

import _locale  # locale.setlocale adds eight microseconds
import ctypes
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import orjson

Changes = Mapping[str, str | None]
"""What has changed, in words: with the text of what is set now where nothing was before, else with None."""

MAX_NAMES = 12
TINY = sys.float_info.min


class Part(Protocol):
    """One thing that the models of a process share."""

    def note(self, closely: bool = False) -> None:
        """Note what there is now as the right state; `closely` includes what takes long to look at."""

    def enter(self, model_key: str) -> None:
        """Prepare a call of this model: it goes on with the random numbers that it had, if it ever drew any."""

    def unchanged(self) -> bool:
        """Whether it seems to be as noted, random numbers aside; asked after each call, so it takes microseconds."""

    def leave(self, model_key: str) -> None:
        """End a call after which nothing has changed: the random numbers that others draw are as noted again."""

    def changes(self) -> Changes:
        """What has changed since it was noted."""

    def packages(self) -> set[str]:
        """The packages that are loaded."""

    def load(self, packages: Iterable[str]) -> None:
        """Load packages, as far as they can be loaded."""


class Traces:
    """All that the models of this process share."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def __bool__(self) -> bool:
        return bool(self._parts)

    def note(self, closely: bool = False) -> None:
        """Note what there is now as the right state; `closely` includes what takes long to look at."""
        for part in self._parts:
            part.note(closely)

    def enter(self, model_key: str) -> None:
        """Prepare a call of this model."""
        for part in self._parts:
            part.enter(model_key)

    def unchanged(self) -> bool:
        """Whether nothing seems to have changed."""
        return all(part.unchanged() for part in self._parts)

    def leave(self, model_key: str) -> None:
        """End a call after which nothing has changed."""
        for part in self._parts:
            part.leave(model_key)

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


class Watch:
    """Looks after each call of a worker whether the model has changed something for the others."""

    def __init__(self, traces: Traces, harmless: Collection[str]) -> None:
        self._traces = traces
        self._harmless = harmless
        traces.note()

    def enter(self, model_key: str) -> None:
        """Prepare a call of this model."""
        self._traces.enter(model_key)

    def left(self, model_key: str) -> str | None:
        """What this model, which has just been called, has changed, in words; None if nothing."""
        if not self._traces.unchanged():
            left = beyond(self._traces.changes(), self._harmless)
            if left:
                return reason(left)
            self._traces.note()  # something was written that says the same as before
        self._traces.leave(model_key)
        return None


def beyond(changes: Changes, harmless: Collection[str]) -> list[str]:
    """What has changed but is not harmless where it is new."""
    return [what for what, text in changes.items() if text is None or what not in harmless]


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

    def left(self) -> tuple[list[str], list[str]]:
        """What has been changed in this process, in words; and what the packages have set that it has loaded."""
        changes = self._traces.changes()
        if not changes:
            return [], []
        added = [list(now - before) for now, before in zip(self._traces.packages(), self._before, strict=True)]
        by_packages = self._of_packages(added) if any(added) else {}
        harmless = [what for what, text in changes.items() if text is not None and by_packages.get(what) == text]
        return beyond(changes, harmless), harmless

    def _of_packages(self, packages: Sequence[Sequence[str]]) -> Changes:
        with suppress(OSError):  # it crashed as it loaded them: then nobody can tell
            os.write(self._ask, orjson.dumps(packages) + b"\n")
            with open(self._answers, "rb", closefd=False) as answers:
                return dict(orjson.loads(answers.readline() or b"{}"))
        return {}

    def _answer(self, asked: int, answer: int) -> None:
        self._traces.note(closely=True)
        with open(asked, "rb") as questions:
            for line in questions:
                self._traces.load(orjson.loads(line))
                os.write(answer, orjson.dumps(self._traces.changes()) + b"\n")


def reason(changed: Sequence[str]) -> str:
    """Why a model that changes this has a process of its own."""
    more = len(changed) - MAX_NAMES
    names = [*sorted(changed)[:MAX_NAMES], *([f"{more} more"] if more > 0 else [])]
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"reading or calling it changes {listed}, which other models of its process would meet"


class ProcessPart:
    """What any process has: the environment, the working directory, the locale, how numbers are rounded."""

    def __init__(self) -> None:
        self._environ = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ")
        self.note()

    def note(self, closely: bool = False) -> None:
        """See `Part`."""
        self._variables = self._read()
        self._size = 8 * (len(self._variables) + 1)
        self._pointers = self._look()
        self._others = self._quick()

    def enter(self, model_key: str) -> None:
        """See `Part`."""

    def leave(self, model_key: str) -> None:
        """See `Part`."""

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
        return _locale.setlocale(_locale.LC_ALL, None), _folder(), _rounded(TINY)

    def _look(self) -> bytes:
        """Find the variables in memory: R sets them past Python, and each that is set anew is put somewhere else."""
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
    """A number that differs if numbers are rounded otherwise, or the smallest are taken for zero (-ffast-math)."""
    return tiny / 2, 1.0 + tiny, 1.0 - tiny
