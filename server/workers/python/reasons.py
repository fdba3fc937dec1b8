"""Why a file holds no model that can be served here, in words for the analyst who saved it.

What a library says of a file that another version of it has made is seldom what is wrong: an array of another type, an
attribute that an object lacks. So the versions come first, where the file tells them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sklearn

from server.paths import without_folders
from server.workers.errors import LoadFailed

MAX_LOOKED_AT = 1 << 28
"""How many bytes of a file, unpacked, are searched for the version that made it."""
MAX_WORDS = 500
MAX_NAMES = 20
WAY_OUT = (
    "save it again with this version, or put a requirements.txt with the version beside it "
    "(NAME.requirements.txt beside a bare file, model.requirements.txt in a folder of MLflow)"
)

_DISTRIBUTIONS = {"sklearn": "scikit-learn", "cv2": "opencv-python", "PIL": "pillow", "skimage": "scikit-image"}
_NO_ATTRIBUTE = re.compile(
    r"Can't get attribute '(?P<name>[^']+)' on <module '(?P<module>[^']+)'"
    r"|module '(?P<module2>[^']+)' has no attribute '(?P<name2>[^']+)'"
)
_WARNED = re.compile(r"from version (?P<theirs>\S+) when using version \S+\.")
_PICKLED = re.compile(
    rb"_sklearn_version.{1,12}?([0-9]+\.[0-9]+(?:\.[0-9]+)*(?:(?:rc|\.dev|\.post|a|b)[0-9]+)?)", re.DOTALL
)
_OF_NATIVE_CODE = re.compile(r"^\[\d\d:\d\d:\d\d\] \S+:\d+: |\s*Stack trace:.*", re.DOTALL)
"""What XGBoost writes around its words: the time, its source file and where it was."""
_LAYOUTS = re.compile(r":?\s*- expected\s*: [{\[].*", re.DOTALL)
"""The two dtypes that scikit-learn has had for the nodes of a tree, of fifteen fields each."""
_UNPACK: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ", lzma.LZMAFile),
    (b"\x5d\x00", lzma.LZMAFile),
)


def distribution(module: str) -> str:
    """The name of the distribution to install for a module."""
    root = module.partition(".")[0]
    return _DISTRIBUTIONS.get(root, root)


def age(theirs: str | None) -> str | None:
    """The version of scikit-learn that made a file and the one that is here, if they differ."""
    if theirs is None or theirs == sklearn.__version__:
        return None
    return f"made with scikit-learn {theirs}, here is {sklearn.__version__}"


def warned_of(warnings: Iterable[str]) -> str | None:
    """The version of scikit-learn that made a file, as scikit-learn's warning says it."""
    return next((found["theirs"] for text in warnings if (found := _WARNED.search(text))), None)


def pickled(path: Path) -> str | None:
    """The version of scikit-learn that stands in a file itself, for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return _version_in(_unpacked(file))
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return None


def _unpacked(file: Any) -> Any:
    begins = file.read(6)
    file.seek(0)
    for magic, unpack in _UNPACK:
        if begins.startswith(magic):
            return unpack(file)
    if begins[:1] == b"\x78":  # zlib, as joblib writes it
        return io.BytesIO(zlib.decompressobj().decompress(file.read(), MAX_LOOKED_AT))
    return file


def _version_in(stream: Any) -> str | None:
    seen, before = 0, b""
    while seen < MAX_LOOKED_AT and (piece := stream.read(1 << 20)):
        if found := _PICKLED.search(before + piece):
            return found[1].decode()
        seen, before = seen + len(piece), piece[-64:]
    return None


def missing(error: ModuleNotFoundError, path: Path) -> LoadFailed:
    """The refusal where a package is missing, or only a module of a package that is here in another version."""
    name = error.name or "an unknown one"
    root = distribution(name)
    if "." in name and find_spec(name.partition(".")[0]) is not None:
        here = f"{root} {_version(root)}"
        versions = age(pickled(path)) if root == "scikit-learn" else None
        made = versions or f"made with another version of {root}, here is {here}"
        return LoadFailed(
            "package_missing", f"the model was {made}: its module '{name}' is gone from this version; {WAY_OUT}"
        )
    return LoadFailed(
        "package_missing",
        f"the model needs the Python package '{root}', which is not installed here; install it where the server runs "
        f"(pip install {root}, as docs/packages.md says), or put a requirements.txt beside the model "
        "(NAME.requirements.txt beside a bare file)",
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "in another version"


def unreadable(error: Exception, path: Path) -> LoadFailed:
    """The refusal for an error of reading a file. Its text has no path."""
    found = _NO_ATTRIBUTE.search(str(error))
    versions = age(pickled(path))
    if found:
        name, module = found["name"] or found["name2"], found["module"] or found["module2"]
        return _missing_code(name, module, versions)
    if isinstance(error, EOFError):
        return LoadFailed("unreadable", "the file is cut short or is no model file; write it again")
    text = words(str(error).replace(str(path), "the file").replace(path.name, "the file"))
    text = text or "it raised an error without a text"
    if versions:
        return LoadFailed("unreadable", f"the model was {versions}, which cannot read it ({text}); {WAY_OUT}")
    return LoadFailed("unreadable", f"the file cannot be read: {text}")


def words(said: str) -> str:
    """What a library said, without the place in which it said so."""
    return without_folders(_LAYOUTS.sub("", _OF_NATIVE_CODE.sub("", said))).strip()[:MAX_WORDS]


def _missing_code(name: str, module: str, versions: str | None) -> LoadFailed:
    if module == "__main__" or module == _own_main() or module.partition(".")[0] == "server":
        return LoadFailed(
            "missing_code",
            f"the file refers to '{name}', a class or function of the notebook or script that saved it (__main__); a "
            "file holds only its name, not its code. Put it into a package that is installed on the server and save "
            "the model again, or serve the model by a scoring script that imports it",
        )
    if versions and module.startswith("sklearn."):
        text = f"the model was {versions}, which has no '{name}' in its module '{module}'; {WAY_OUT}"
        return LoadFailed("missing_code", text)
    return LoadFailed(
        "missing_code",
        f"the file refers to '{name}' of the module '{module}', which does not exist here; install the version of the "
        "package that has it, define it in a package that is installed on the server, or serve the model by a scoring "
        "script",
    )


def _own_main() -> str | None:
    """How error texts call the main module of this process."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return None if spec is None else spec.name


def no_model(found: Any) -> LoadFailed:
    """The refusal of an object that can neither predict nor transform."""
    parts: Mapping[Any, Any] = found if isinstance(found, dict) else {}
    if isinstance(found, list | tuple):
        parts = dict(enumerate(found))
    models = {key: one for key, one in parts.items() if _is_model(one)}
    what = _called(found)
    if models:
        inside = ", ".join(f"{type(one).__name__} under {key!r}" for key, one in [*models.items()][:MAX_NAMES])
        beside = ", ".join(str(key) for key in [*parts][:MAX_NAMES] if key not in models)
        return LoadFailed(
            "no_predict",
            f"the file holds {what} with {inside}" + (f", beside {beside}" if beside else "") + "; save the model "
            "itself, with what comes before it as the steps of a Pipeline, or serve the file by a scoring script",
        )
    return LoadFailed(
        "no_predict", f"the file holds {what}, which has neither predict nor transform; save a fitted model"
    )


def _called(found: Any) -> str:
    if isinstance(found, type):
        return f"the class {found.__name__} itself and no object of it"
    name = type(found).__name__
    return f"a {name}" if isinstance(found, dict | list | tuple) else f"an object of class {name}"


def _is_model(one: Any) -> bool:
    return not isinstance(one, type) and (hasattr(one, "predict") or hasattr(one, "transform"))
