"""What Python's models share beyond what any process has: settings of the interpreter and of its packages."""

from __future__ import annotations

import builtins
import ctypes
import decimal
import gc
import importlib
import random
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

_pandas: dict[str, Any] = pd.core.config_init.cf._global_config  # get_option takes microseconds for each


def _decimal() -> tuple[object, ...]:
    context = decimal.getcontext()
    return context.prec, context.rounding, context.Emin, context.Emax, context.clamp, dict(context.traps)


def _precision() -> tuple[int, str]:
    context = decimal.getcontext()
    return context.prec, context.rounding


Ask = Callable[[], Any]
_SETTINGS: dict[str, Ask] = {
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


def _quick() -> tuple[Ask, ...]:
    """The settings that are looked at after each call: those that change answers, by the shortest way to them."""
    main, built_in = vars(sys.modules["__main__"]), vars(builtins)
    numpy_errors: Ask = getattr(_numpy("_core._ufunc_config"), "_extobj_contextvar", None) or np.geterr
    printing: Ask = getattr(_numpy("_core.printoptions"), "format_options", None) or np.get_printoptions
    asks: list[Ask] = [getattr(ask, "get", ask) for ask in (numpy_errors, printing)]
    groups = [group for name, group in _pandas.items() if name in ("compute", "future", "mode")]
    return (
        *asks,
        *(_group(group) for group in groups),
        sklearn.get_config,
        _precision,
        lambda: (warnings.filters, warnings.showwarning, sys.path, len(main), len(built_in)),
    )


def _group(group: dict[str, Any]) -> Ask:
    """A function that asks for a group of pandas' options."""
    return lambda: group


def _numpy(name: str) -> Any:
    with suppress(ImportError):
        return importlib.import_module(f"numpy.{name}")
    return None


class PythonPart:
    """The settings that models of Python share, as `server.workers.traces.Part` describes such a part."""

    def __init__(self) -> None:
        self._asks = _quick()
        self._look = _generators()
        self._drawn = False
        self._drawing: dict[str, Any] = {}
        self.note()

    def note(self, closely: bool = False) -> None:
        """Note the settings as they are now to be the right state."""
        self._settings = tuple((ask, deepcopy(ask())) for ask in _SETTINGS.values())
        self._quickly = tuple((ask, _copied(ask())) for ask in self._asks)
        self._state = _state()
        self._looked = self._look()

    def enter(self, model_key: str) -> None:
        """Prepare a call of this model: it goes on with the random numbers that it had, if it ever drew any."""
        if model_key in self._drawing:
            _restore(self._drawing[model_key])

    def unchanged(self) -> bool:
        """Whether the settings that change answers seem to be as noted, random numbers aside."""
        for ask, then in self._quickly:
            now = ask()
            if now is not then and now != then:
                return False
        self._drawn = self._look() != self._looked
        return True

    def leave(self, model_key: str) -> None:
        """End a call after which nothing has changed: the random numbers that others draw are as noted again."""
        if self._drawn:
            self._drawing[model_key] = _state()
            _restore(self._state)

    def changes(self) -> Changes:
        """The settings that have changed since they were noted."""
        return {what: None for what, (ask, then) in zip(_SETTINGS, self._settings, strict=True) if ask() != then}

    def packages(self) -> set[str]:
        """The packages that are loaded."""
        return {name.partition(".")[0] for name in list(sys.modules)}

    def load(self, packages: Iterable[str]) -> None:
        """Import packages, as far as they can be imported."""
        for package in packages:
            with suppress(Exception):
                importlib.import_module(package)


def _copied(value: Any) -> Any:
    return deepcopy(value) if isinstance(value, dict | list | tuple) else value


def _state() -> Any:
    return random.getstate(), np.random.get_state()


def _restore(state: Any) -> None:
    of_python, of_numpy = state
    random.setstate(of_python)
    np.random.set_state(of_numpy)


WORDS = 624


def _generators() -> Ask:
    """A function that tells in a microsecond whether random numbers were drawn or a seed was set.

    Both generators are the Mersenne Twister. To ask for their state by Python takes ten times as long as to copy it.
    """
    numbers: Any = np.random.mtrand._rand
    of_numpy = numbers._bit_generator.ctypes.state_address
    size = 4 * (WORDS + 1)
    of_python = id(random._inst) + object.__basicsize__
    copied = ctypes.string_at
    if int.from_bytes(copied(of_python, 4), sys.byteorder) != random.getstate()[1][-1]:
        return lambda: (copied(of_numpy, size), random.getstate())  # another Python keeps it elsewhere
    return lambda: (copied(of_numpy, size), copied(of_python, size))
