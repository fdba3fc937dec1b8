"""What Python's models share beyond what any process has: settings of the interpreter and of its packages."""

from __future__ import annotations

import builtins
import decimal
import gc
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import sklearn

from server.workers.traces import Changes

_pandas: Any = pd.core.config_init.cf._global_config  # to ask for each option by its name takes a millisecond


def _decimal() -> tuple[object, ...]:
    context = decimal.getcontext()
    return (
        context.prec,
        context.rounding,
        context.Emin,
        context.Emax,
        context.clamp,
        context.capitals,
        dict(context.traps),
    )


_SETTINGS: dict[str, Callable[[], Any]] = {
    "the filters of warnings": lambda: warnings.filters,
    "how warnings are shown": lambda: warnings.showwarning,
    "how numpy treats errors (numpy.seterr)": np.geterr,
    "what numpy calls on errors (numpy.seterrcall)": np.geterrcall,
    "how numpy prints (numpy.set_printoptions)": np.get_printoptions,
    "the configuration of scikit-learn (sklearn.set_config)": sklearn.get_config,
    "the options of pandas": lambda: _pandas,
    "the context of decimal": _decimal,
    "where modules are looked for (sys.path)": lambda: sys.path,
    "the recursion limit": sys.getrecursionlimit,
    "the garbage collector": lambda: (gc.isenabled(), gc.get_threshold()),
    "the variables of __main__": lambda: len(vars(sys.modules["__main__"])),
    "the builtins": lambda: len(vars(builtins)),
}


class PythonPart:
    """See `server.workers.traces.Part`."""

    def __init__(self) -> None:
        self.note()

    def note(self) -> None:
        """See `Part`."""
        self._settings = tuple((ask, deepcopy(ask())) for ask in _SETTINGS.values())

    def unchanged(self) -> bool:
        """See `Part`."""
        return all(ask() == then for ask, then in self._settings)

    def changes(self) -> Changes:
        """See `Part`."""
        return {what: None for what, (ask, then) in zip(_SETTINGS, self._settings, strict=True) if ask() != then}

    def packages(self) -> set[str]:
        """See `Part`."""
        return {name.partition(".")[0] for name in list(sys.modules)}

    def load(self, packages: Iterable[str]) -> None:
        """See `Part`."""
        for package in packages:
            with suppress(Exception):
                importlib.import_module(package)
