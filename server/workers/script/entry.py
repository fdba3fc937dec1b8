"""A folder's score.py: imported, its init() called, its run() ready to be called; and what it says when it fails."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from server.paths import without_folders
from server.workers.azureml_script import Caller, Run, caller
from server.workers.errors import LoadFailed
from server.workers.script.provided import provide

MAX_WORDS_CHARS = 1000
ENVIRONMENT = "tandem-environment.json"
"""File beside the script: variables that are set before it is imported."""
BOTH = "def init(), which may do nothing, and def run(raw_data), which returns the reply"


def load(path: Path) -> tuple[Run, Caller]:
    """Import the script as it would be run in its own folder, and call init(); its run(), and how that is called.

    Raises LoadFailed.
    """
    folder = path.parent
    os.environ["AZUREML_MODEL_DIR"] = str(folder)
    os.environ.update(_variables(folder / ENVIRONMENT))
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # for its children; the folder may be read-only
    sys.dont_write_bytecode = True
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.argv = [str(path)]
    provide()
    script = _imported(path)
    init, run = (_function(script, name) for name in ("init", "run"))
    try:
        inspect.signature(init).bind()
    except TypeError as e:
        raise _unfit("init", "no argument") from e
    except ValueError:
        pass  # written in C, it does not tell
    try:
        called = caller(run)
    except TypeError as e:
        raise _unfit("run", "one argument, the request's body as text") from e
    try:
        init()
    except BaseException as e:  # sys.exit() too
        raise LoadFailed("script_fails", f"init() fails: {words(e, folder)}{_cure(e)}") from e
    return run, called


def _variables(path: Path) -> dict[str, str]:
    """What a deployment's `environment_variables` said. Raises LoadFailed."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        found = None
    if not isinstance(found, dict) or any(not name or "=" in name or "\0" in f"{name}{found[name]}" for name in found):
        raise LoadFailed("bad_script", f"{ENVIRONMENT} is no object of names and texts")
    return {name: str(value) for name, value in found.items()}


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("score", path)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["score"] = script  # a class of the script's can be unpickled only by this name
    try:
        spec.loader.exec_module(script)
    except BaseException as e:
        raise LoadFailed("script_fails", f"the import fails: {words(e, path.parent)}{_cure(e)}") from e
    return script


def _function(script: ModuleType, name: str) -> Callable[..., Any]:
    function = getattr(script, name, None)
    if not callable(function):
        raise LoadFailed("bad_script", f"score.py has no function {name}; define both: {BOTH}")
    found: Callable[..., Any] = function
    return found


def _unfit(name: str, takes: str) -> LoadFailed:
    return LoadFailed("bad_script", f"{name}() is called with {takes}; score.py's does not take that; define {BOTH}")


def _cure(error: BaseException) -> str:
    """What to do about an error that has to do with where the script runs."""
    if isinstance(error, ModuleNotFoundError):
        return "; what the script needs is named in a requirements.txt beside it"
    if isinstance(error, FileNotFoundError):
        return (
            "; what the script reads lies in its own folder, which is its working directory and "
            "os.environ['AZUREML_MODEL_DIR']"
        )
    if isinstance(error, PermissionError | ConnectionError | TimeoutError | socket.gaierror):
        return (
            "; a script has no network, starts no other program, reads its own folder and writes to "
            "tempfile.gettempdir() only: whatever else it needs, copy into its folder"
        )
    return ""


def words(error: BaseException, folder: Path) -> str:
    """What a script said when it failed, and where: `ValueError: no such district (line 12 of score.py)`."""
    if isinstance(error, SystemExit):
        said = f"the script calls sys.exit({'' if error.code is None else repr(error.code)[:MAX_WORDS_CHARS]})"
    else:
        lines = traceback.format_exception_only(error)
        said = (lines[-1] if isinstance(error, SyntaxError) else lines[0]).strip()[:MAX_WORDS_CHARS]
    where = _where(error, folder)
    return without_folders(said) + (f" ({where})" if where else "")


def _where(error: BaseException, folder: Path) -> str | None:
    """The innermost line of the script's own code."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename is not None:
        places.append((error.filename, error.lineno))
    for filename, line in reversed(places):
        if line is not None and Path(filename).is_relative_to(folder):
            return f"line {line} of {Path(filename).relative_to(folder)}"
    return None
