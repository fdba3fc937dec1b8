"""MLflow's model folders: what `MLmodel` says of the file that holds the model, and of its inputs.

MLflow is not needed for a model of one of the flavours below: the file is read as if it lay there without MLflow. One
that has no other flavour than `python_function` is loaded by the module that `MLmodel` names, as MLflow does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import yaml

from server.catalog import beneath

NAME = "MLmodel"
MAX_BYTES = 1 << 20
MAX_VALUES = 100_000
"""More than this a file of MAX_BYTES has only by aliases, of which a few lines may stand for gigabytes."""
MAX_DEPTH = 64
PYFUNC = "python_function"
_FILES: Mapping[str, tuple[str, str]] = {
    "sklearn": ("python", "pickled_model"),
    "xgboost": ("python", "data"),
    "lightgbm": ("python", "data"),
    "catboost": ("python", "data"),
    "onnx": ("python", "data"),
    "pytorch": ("torch", "model_data"),
}
"""Flavours that need no MLflow: the runtime that each is for, and the key under which it names its file."""
_DEFAULTS = {"sklearn": "model.pkl", "pytorch": "data"}
"""The names of files that MLflow before 1.0 did not write down."""
_OF_TORCH = ("model.pt2", "model.pth")
_TYPES = {
    "boolean": "logical",
    "integer": "integer",
    "long": "numeric",  # which may have more than the 32 bits of an integer here
    "float": "numeric",
    "double": "numeric",
    "string": "string",
    "datetime": "datetime",
}
"""MLflow's types of columns, and the types of inputs."""
_DTYPES = {"long": "int64", "float": "float32"}
"""What of a type the input's does not say."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class MLmodel:
    """What a folder's MLmodel says."""

    runtime: str = ""
    file: str = NAME
    """The file to read, relative to the folder."""
    inputs: tuple[Mapping[str, Any], ...] = ()
    """The inputs as MLflow wrote them down (`server.wire.models.ModelSpec.signature`)."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the runtime is told beside the sidecar's settings."""
    refused: str | None = None
    """Why it cannot be served."""
    example: str | None = None
    """The file with the rows that the model's author gave as an example, relative to the folder."""

    @property
    def is_pyfunc(self) -> bool:
        """Whether its code is run in the environment that MLflow wrote down beside it."""
        return "pyfunc" in self.settings


def at(path: Path, folder: Path | None = None) -> MLmodel | None:
    """What the MLmodel at a path in a model folder (None: its own) says; None if the path is none."""
    if path.name != NAME:
        return None
    try:
        status = beneath.status(path, folder or path.parent)
        found = _read(path, folder or path.parent, status.st_mtime_ns, status.st_size)
    except OSError as e:
        return MLmodel(refused=f"its MLmodel cannot be read: {e.strerror}")
    return found if found.refused else _with_file(path.parent, found)


@lru_cache(maxsize=256)
def _read(path: Path, folder: Path, _modified_ns: int, size: int) -> MLmodel:
    if size > MAX_BYTES:
        return MLmodel(refused="its MLmodel is larger than 1 MiB")
    try:
        data = b"".join(beneath.pieces(path, folder))
        _check_depth(data)
        said = yaml.load(data, _LOADER)
        if not _can_be_written_out(said):
            return MLmodel(refused="its MLmodel has aliases that stand for very much; write out what they stand for")
        flavors = said["flavors"]
        inputs = tuple(_inputs(said.get("signature") or {}))
        found = _with_params(_of_flavors(flavors, inputs), said.get("signature") or {})
        return replace(found, example=_example_file(said.get("saved_input_example_info") or {}))
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return MLmodel(refused="its MLmodel is not what MLflow writes; save the model again, and copy the whole folder")


def _can_be_written_out(said: Any) -> bool:
    left, count = [said], 0
    while left and count <= MAX_VALUES:
        value = left.pop()
        count += 1
        if isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list | tuple | set):
            left += value
    return count <= MAX_VALUES


def _check_depth(data: bytes) -> None:
    """Raises ValueError for what is nested so deeply that libyaml, which follows it, would end the process."""
    depth = 0
    for event in yaml.parse(data, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")


def _of_flavors(flavors: Mapping[str, Any], inputs: tuple[Mapping[str, Any], ...]) -> MLmodel:
    for flavor, (runtime, key) in _FILES.items():
        if flavor in flavors:
            about = flavors[flavor]
            code = _inside(about.get("code") or (flavors.get(PYFUNC) or {}).get("code"))
            settings = {"trusted": list(about.get("skops_trusted_types") or ()), "code": code, "whole_folder": True}
            return MLmodel(runtime, str(about.get(key) or _DEFAULTS[flavor]), inputs, settings)
    if PYFUNC in flavors:
        about = flavors[PYFUNC]
        kept = {name: about.get(name) for name in ("loader_module", "data", "code", "config")}
        kept["loader_module"] = str(about["loader_module"])
        kept |= {name: _inside(kept[name]) for name in ("data", "code")}
        return MLmodel("python", NAME, inputs, {"pyfunc": kept})
    names = ", ".join(map(str, flavors)) or "none"
    cure = (
        "save it in R with saveRDS() into the folder of R models" if "crate" in flavors else "save it in one of these"
    )
    return MLmodel(
        refused=f"MLflow saved the model for {names}; served are {', '.join(_FILES)} and {PYFUNC}: {cure}, or serve it "
        "by a scoring script"
    )


def _with_params(found: MLmodel, signature: Mapping[str, Any]) -> MLmodel:
    """The same; a python_function with the parameters of its signature, as options of a request have them."""
    params = [dict(one) for one in orjson.loads(signature.get("params") or "[]")] if found.is_pyfunc else []
    if not params:
        return found
    return replace(found, settings={"pyfunc": {**found.settings["pyfunc"], "params": params}})


def _inside(name: Any) -> str | None:
    """A path in the folder. Raises ValueError for one that leads elsewhere."""
    if name is None:
        return None
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(name)
    return str(name)


def _with_file(folder: Path, found: MLmodel) -> MLmodel:
    """The same with a file that is there; refused if there is none, or only outside of the folder."""
    names = [found.file, *(f"{found.file}/{name}" for name in _OF_TORCH)] if found.runtime == "torch" else [found.file]
    for name in names:
        if beneath.kind(folder / name, folder) == "file":
            return replace(found, file=name)
    return MLmodel(
        refused=f"its MLmodel names the file {found.file}, which is not in the folder; copy the whole folder"
    )


def _example_file(about: Mapping[str, Any]) -> str | None:
    return _inside(about.get("artifact_path")) if about.get("type") == "dataframe" else None


def example_row(path: Path, folder: Path | None = None) -> dict[str, Any] | None:
    """The first row of the author's example, if the MLmodel at a path names one that can be read."""
    about = at(path, folder)
    if about is None or about.example is None:
        return None
    try:
        file = path.parent / about.example
        if beneath.status(file, folder or path.parent).st_size > MAX_BYTES:
            return None
        said = orjson.loads(b"".join(beneath.pieces(file, folder or path.parent)))
        return dict(zip(said["columns"], said["data"][0], strict=True))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _inputs(signature: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The inputs of a signature that have names, or are tensors; what has neither tells nothing."""
    for one in orjson.loads(signature.get("inputs") or "[]"):
        kind = str(one.get("type"))
        if kind == "tensor":
            shape = [None if size < 0 else int(size) for size in one["tensor-spec"]["shape"]]
            dtype = str(one["tensor-spec"]["dtype"])
            yield {"name": one.get("name"), "type": "tensor", "shape": shape[1:], "dtype": dtype}
        elif one.get("name") is not None:
            optional = one.get("required") is False or one.get("optional") is True
            more: dict[str, Any] = {"optional": True} if optional else {}
            more |= {"dtype": _DTYPES[kind]} if kind in _DTYPES else {}
            yield {"name": str(one["name"]), "type": _TYPES.get(kind, kind), **more}
