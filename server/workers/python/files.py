"""Reading a model file: whatever it does, what comes out is an object or a LoadFailed whose text names no path."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib

from server.wire.models import ModelSpec, RuntimeSettings
from server.workers.errors import LoadFailed
from server.workers.python import native, reasons
from server.workers.python.library_warnings import MAX_WARNINGS, distinct


def read(spec: ModelSpec) -> tuple[Any, tuple[str, ...]]:
    """The object in a file and what was warned of while reading it. Raises LoadFailed."""
    path = Path(spec.path)
    import_from(path.parent, spec.settings.code)
    return guarded(lambda: _reader(path, spec.settings)(), path)


def import_from(folder: Path, code: str | None) -> None:
    """Have the modules found that MLflow keeps beside a model."""
    if code and str(folder / code) not in sys.path:
        sys.path.insert(0, str(folder / code))


def guarded(read: Callable[[], Any], path: Path) -> tuple[Any, tuple[str, ...]]:
    """What `read` returns, and the warnings that came meanwhile. Raises LoadFailed.

    The code of a pickle may raise or leave behind anything; this runs in a probe's process, which bears it.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = read()
        except LoadFailed:
            raise
        except ModuleNotFoundError as e:
            raise reasons.missing(e, path) from e
        except SystemExit as e:
            raise LoadFailed("unreadable", "reading the file ended the process (it calls sys.exit)") from e
        except MemoryError as e:
            raise LoadFailed(
                "unreadable",
                "reading the file takes more memory than a probe may have; make the model smaller, or have "
                "TANDEM_WORKER_MEMORY_MB raised",
            ) from e
        except Exception as e:
            raise reasons.unreadable(e, path) from e
    return found, distinct(caught, developers_too=True)[:MAX_WARNINGS]


def _reader(path: Path, settings: RuntimeSettings) -> Callable[[], Any]:
    if path.suffix.lower() == ".skops":
        return lambda: _skops(path, settings.trusted)
    return native.reader(path, settings.threads) or (lambda: joblib.load(path))


def _skops(path: Path, trusted: Sequence[str]) -> Any:
    io = _skops_io()
    unknown = [t for t in io.get_untrusted_types(file=path) if t not in trusted]
    if unknown:
        raise LoadFailed(
            "untrusted_types",
            f"the file holds types that skops does not trust: {', '.join(unknown)}; if you do, say so in the sidecar:\n"
            f"trusted: [{', '.join(unknown)}]",
        )
    return io.load(path, trusted=list(trusted))


def _skops_io() -> Any:
    """The module skops.io, imported when the first file of its kind is read.

    It imports all of scikit-learn, which takes seconds. Among that is scikit-learn's way to PyTorch, which would take
    several times as long and which nothing here uses.
    """
    if "skops.io" not in sys.modules and "torch" not in sys.modules:
        sys.modules["torch"] = None  # type: ignore[assignment]  # whose import then fails
        try:
            importlib.import_module("skops.io")
        finally:
            del sys.modules["torch"]
    return importlib.import_module("skops.io")
