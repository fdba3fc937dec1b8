"""What a model changes in its process is found, named and told from what loading packages does; each in a fork."""

from __future__ import annotations

import ctypes
import decimal
import locale
import os
import random
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn

from server.workers.python.traces import PythonPart
from server.workers.traces import Changes, Control, ProcessPart, Traces, Watch, reason


def in_a_fork(check: Callable[[], None]) -> None:
    """Run a check where what it changes stays."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            check()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def set_past_python() -> None:
    """As R does it."""
    ctypes.CDLL(None).setenv(b"TZ", b"America/New_York", 1)


CHANGES: dict[str, Callable[[], Any]] = {
    "the environment variable TZ": set_past_python,
    "the environment variable SHOP": lambda: os.environ.update(SHOP="open"),
    "the environment variable PATH": lambda: os.environ.pop("PATH"),
    "the locale": lambda: locale.setlocale(
        locale.LC_TIME, "C.UTF-8" if locale.setlocale(locale.LC_TIME) == "C" else "C"
    ),
    "the working directory": lambda: os.chdir("/usr"),
    "how numpy treats errors (numpy.seterr)": lambda: np.seterr(all="raise"),
    "how numpy prints (numpy.set_printoptions)": lambda: np.set_printoptions(precision=2),
    "the configuration of scikit-learn (sklearn.set_config)": lambda: sklearn.set_config(transform_output="pandas"),
    "the options of pandas": lambda: pd.set_option("compute.use_bottleneck", False),
    "the context of decimal": lambda: setattr(decimal.getcontext(), "prec", 5),
    "the filters of warnings": lambda: warnings.simplefilter("ignore"),
    "where modules are looked for (sys.path)": lambda: sys.path.append("/usr"),
    "the variables of __main__": lambda: setattr(sys.modules["__main__"], "shop_rate", 2),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_model_changes_is_found_and_named(what: str) -> None:
    def check() -> None:
        traces = Traces([ProcessPart(), PythonPart()])
        traces.note()
        assert traces.unchanged()
        assert traces.changes() == {}
        CHANGES[what]()
        assert not traces.unchanged()
        assert list(traces.changes()) == [what]
        traces.note()
        assert traces.unchanged()

    in_a_fork(check)


def test_what_is_set_to_what_it_was_is_no_change() -> None:
    def check() -> None:
        traces = Traces([ProcessPart(), PythonPart()])
        traces.note()
        os.environ["PATH"] = os.environ["PATH"] + ""
        np.seterr(**np.geterr())
        assert traces.changes() == {}

    in_a_fork(check)


class Options:
    """A part with packages: to load one sets an option of its own, and `careless` changes one that was there."""

    def __init__(self) -> None:
        self.options = {"digits": "7"}
        self.loaded: set[str] = set()
        self.called: list[str] = []
        self.note()

    def note(self, closely: bool = False) -> None:
        self._noted = dict(self.options)

    def enter(self, key: str) -> None:
        self.called.append(key)

    def unchanged(self) -> bool:
        return self.options == self._noted

    def leave(self, key: str) -> None:
        self.called.append(f"after {key}")

    def changes(self) -> Changes:
        return {
            name: None if name in self._noted else text
            for name, text in self.options.items()
            if self._noted.get(name) != text
        }

    def packages(self) -> set[str]:
        return set(self.loaded)

    def load(self, packages: Iterable[str]) -> None:
        for package in packages:
            self.loaded.add(package)
            self.options[f"{package}.verbose"] = "FALSE"
            if package == "careless":
                self.options["digits"] = "3"
            if package == "crashes":
                os._exit(1)


@pytest.mark.parametrize(
    ("does", "left"),
    [
        (lambda o: o.load(["table"]), []),
        (lambda o: o.load(["careless"]), ["digits"]),
        (lambda o: o.options.update({"mine": "1"}), ["mine"]),
        (lambda o: (o.load(["table"]), o.options.update({"table.verbose": "TRUE"})), ["table.verbose"]),
        (lambda o: (o.load(["table"]), o.options.update({"mine": "1"})), ["mine"]),
    ],
)
def test_options_that_a_package_brings_along_are_no_reason_unless_they_were_there_before(
    does: Callable[[Options], Any], left: list[str]
) -> None:
    options = Options()
    control = Control(Traces([options]))
    does(options)
    found, harmless = control.left()
    assert found == left
    assert set(harmless) == set(options.options) - {"digits", *left}


def test_a_control_that_crashes_as_it_loads_a_package_leaves_the_model_to_blame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = Options()
    control = Control(Traces([options]))
    options.loaded.add("crashes")
    options.options["crashes.verbose"] = "FALSE"
    assert control.left() == (["crashes.verbose"], [])


def test_a_worker_learns_what_a_call_has_changed_but_for_what_its_packages_may_set() -> None:
    options = Options()
    watch = Watch(Traces([options]), {"table.verbose"})
    watch.enter("a")
    options.load(["table"])
    assert watch.left("a") is None
    assert options.unchanged(), "noted, so that the next call is looked at quickly"
    options.options["digits"] = "3"
    found = watch.left("b")
    assert found is not None
    assert "digits" in found
    assert options.called == ["a", "after a"]


def test_each_model_that_draws_has_random_numbers_of_its_own_and_takes_none_from_others() -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(np.random.standard_normal())

    def check() -> None:
        random.seed(1)
        np.random.seed(1)
        untouched = [drawn() for _ in range(3)]
        random.seed(1)
        np.random.seed(1)
        watch = Watch(Traces([PythonPart()]), ())
        for n in range(3):
            watch.enter("seeds")
            random.seed(n)
            np.random.seed(n)
            np.random.standard_normal()
            assert watch.left("seeds") is None
            watch.enter("draws")
            assert drawn() == untouched[n]
            assert watch.left("draws") is None

    in_a_fork(check)


def test_a_reason_names_what_was_changed_and_how_much_more() -> None:
    assert reason(["b"]) == "reading or calling it changes b, which other models of its process would meet"
    assert "changes a, b and c, which" in reason(["c", "a", "b"])
    assert reason([f"{n:02}" for n in range(20)]).count(",") == 12
    assert "and 8 more, which" in reason([str(n) for n in range(20)])


def test_a_folder_that_has_gone_is_a_change_too(tmp_path: Path) -> None:
    def check() -> None:
        part = ProcessPart()
        folder = tmp_path / "gone"
        folder.mkdir()
        os.chdir(folder)
        part.note()
        folder.rmdir()
        assert list(part.changes()) == ["the working directory"]

    in_a_fork(check)
