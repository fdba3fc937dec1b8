"""ONNX graphs, run by onnxruntime.

onnxruntime starts a thread when it is imported, and a template must have one thread when it forks. So a template only
keeps the file's bytes; the library comes and the graph is compiled in each fork.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from server.paths import without_folders
from server.wire.models import ModelSpec
from server.wire.schema import Schema
from server.workers.errors import LoadFailed
from server.workers.python import answers, feed
from server.workers.python.answers import Method
from server.workers.python.estimator import About
from server.workers.python.feed import Feed
from server.workers.stated_inputs import corrected
from server.workers.table import Column

_TYPES: dict[str, tuple[str, Any]] = {
    "tensor(float)": ("numeric", np.float32),
    "tensor(double)": ("numeric", np.float64),
    "tensor(float16)": ("numeric", np.float16),
    "tensor(int64)": ("integer", np.int64),
    "tensor(int32)": ("integer", np.int32),
    "tensor(bool)": ("logical", np.bool_),
    "tensor(string)": ("string", object),
}
"""The types of tensors, each with the type of its columns as inputs and in numpy."""

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"

_unopened: weakref.WeakSet[Graph] = weakref.WeakSet()


_NO_WIDTHS = (
    "the graph's input '{name}' takes any number of columns; export the model with a fixed number: only the first "
    "dimension, the rows, may be of any size"
)
_NO_WIDTH = (
    _NO_WIDTHS
    + """. Or name the columns in the sidecar, in the graph's order:
schema:
  inputs:
    - {{name: age, type: numeric}}
    - {{name: income, type: numeric}}"""
)


class Graph:
    """One graph. Its session is made on first use, or by `open_all` after a fork."""

    def __init__(self, path: Path, weights_beside: bool = False) -> None:
        self._bytes = path.read_bytes()
        self._folder = str(path.parent) if weights_beside else None
        self._session: Any = None
        _unopened.add(self)

    @property
    def session(self) -> Any:
        """The compiled graph, on one thread. Raises LoadFailed."""
        if self._session is None:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 4  # its errors are told
            if self._folder is not None:
                options.add_session_config_entry(_WEIGHTS_FOLDER, self._folder)
            try:
                self._session = onnxruntime.InferenceSession(self._bytes, options, ["CPUExecutionProvider"])
            except Exception as e:  # its errors share no class but this
                raise LoadFailed("unreadable", _cure(str(e))) from e
            _unopened.discard(self)
        return self._session

    def run(self, name: str, given: Mapping[str, Any]) -> Any:
        """The graph's answer for one output and some rows."""
        return self.session.run([name], given)[0]


def _cure(said: str) -> str:
    """Why onnxruntime does not read a file, and what to do about it."""
    here = f"onnxruntime {metadata.version('onnxruntime')}"
    if "xternal data" in said:
        return (
            "the graph keeps its weights in another file; write both as one: onnx.save(onnx.load('model.onnx'), "
            "'NAME.onnx'), or export with torch.onnx.export(..., external_data=False)"
        )
    if "IR version" in said or "pset" in said:
        return (
            f"the graph was exported for a newer runtime than {here}, which is here; export it with a lower opset "
            "(target_opset, opset_version), or put a requirements.txt with a newer onnxruntime beside it"
        )
    if "protobuf" in said:
        return "this is no whole ONNX file; export the model again, and copy all of it"
    text = without_folders(said.partition(" : ")[2] or said)[:300]
    return f"{here} cannot run the graph ({text}); export it again, or serve it by a scoring script"


def open_all() -> None:
    """Compile the graphs that a fork has inherited."""
    for graph in list(_unopened):
        _ = graph.session


class OnnxModel:
    """An ONNX graph as a model that was read from its file."""

    warnings: tuple[str, ...] = ()
    age: str | None = None
    alone: str | None = None
    options: Sequence[Mapping[str, Any]] = ()

    def __init__(self, spec: ModelSpec) -> None:
        self._signature = [i for i in spec.signature if i["name"] is not None]
        self._graph = Graph(Path(spec.path), spec.settings.whole_folder)
        self._outputs = [o["name"] for o in spec.schema["outputs"]] if spec.schema else None

    @property
    def methods(self) -> Mapping[str, Method]:
        """The outputs, by the names that other models give them. Only asking for one opens the graph."""
        if self._outputs is None:
            self._outputs = list(_names(self._graph.session))
        return {name: partial(self._answer, name) for name in self._outputs}

    def about(self) -> About:
        """The tool that made the graph, and the library that runs it."""
        producer = self._graph.session.get_modelmeta().producer_name
        return About(
            f"ONNX graph{f' by {producer}' if producer else ''}", "onnxruntime", metadata.version("onnxruntime")
        )

    def inputs(self, stated: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The inputs: one for each column of a tensor.

        Inputs that are stated in full replace names that were made up.
        """
        alone = len(self._tensors()) == 1
        expected = len(stated or self._signature) if alone else 0
        found = [
            {"name": name, "type": _TYPES[i.type][0], **({} if _TYPES[i.type][0] == "numeric" else {"na": False})}
            for i in self._tensors()
            for name in _columns(i, alone, expected)
        ]
        for named in (self._signature, stated):
            if len(named) == len(found) and not {i["name"] for i in named} & {i["name"] for i in found}:
                found = [f | {"name": n["name"]} for f, n in zip(found, named, strict=True)]
        return corrected(found, stated)

    def usual(self, names: Sequence[str]) -> Mapping[str, float]:
        """Nothing: a graph remembers no usual values."""
        return {}

    def feed(self, schema: Schema) -> Feed:
        """A feed that cuts the columns into the graph's tensors. It looks at the tensors when the first rows come."""
        return _Feed(self._tensors, schema)

    def ready(self, feed: Feed) -> Mapping[str, Method]:
        """The methods as they are: a graph needs nothing more."""
        return self.methods

    def output(self, name: str, value: Any) -> dict[str, Any]:
        """The schema of an output, from an answer."""
        if isinstance(value, _Maps):
            return {"name": name, "type": "columns", "columns": value.names}
        return answers.output(self._graph, name, value)

    def _tensors(self) -> list[Any]:
        tensors: list[Any] = self._graph.session.get_inputs()
        for one in tensors:
            if one.type not in _TYPES or len(one.shape) > 2:
                raise LoadFailed(
                    "unsupported_input",
                    f"the graph's input '{one.name}' is a {one.type} of {len(one.shape)} dimensions; Tandem serves "
                    "graphs that take rows of numbers or texts. Export the model for PyTorch (.pt2), or use a script",
                )
        return tensors

    def _answer(self, name: str, given: Mapping[str, Any]) -> Any:
        run = partial(self._graph.run, _names(self._graph.session)[name])
        rows = len(next(iter(given.values())))
        if rows > 1 and _takes_one(self._graph.session):
            return _joined([run({k: v[i : i + 1] for k, v in given.items()}) for i in range(rows)])
        return _joined([run(given)])


class _Maps(np.ndarray[Any, Any]):
    """Probabilities that came as maps from label to number, together with the labels."""

    names: list[str]


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], list):  # skl2onnx's ZipMap
        maps = [one for part in parts for one in part]
        values = np.array([list(one.values()) for one in maps]).view(_Maps)
        values.names = [str(label) for label in maps[0]]
        return values
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _takes_one(session: Any) -> bool:
    """Whether the graph was exported for exactly one row."""
    return any(i.shape[:1] == [1] for i in session.get_inputs())


def _names(session: Any) -> dict[str, str]:
    """Our names of outputs, each with the graph's: `class` and `prob` of a classifier, `response` of a lone number."""
    found: dict[str, str] = {}
    outputs = session.get_outputs()
    labels = [o.name for o in outputs if o.type in ("tensor(int64)", "tensor(string)") and len(o.shape) < 2]
    for one in outputs:
        if one.name in labels[:1]:
            found["class"] = one.name
        elif one.type.startswith("seq(map") or (labels and len(outputs) == 2):
            found["prob"] = one.name
        else:
            found["response" if len(outputs) == 1 else one.name] = one.name
    return found


def _columns(tensor: Any, alone: bool, expected: int) -> list[str]:
    """Names for a tensor's columns; as many as are `expected` where the graph does not say how many there are."""
    width = _width(tensor) or expected
    if not width:
        raise LoadFailed("no_schema", (_NO_WIDTH if alone else _NO_WIDTHS).format(name=tensor.name))
    if alone and width > 1:
        return [f"x{i}" for i in range(width)]
    return [tensor.name] if width == 1 else [f"{tensor.name}{i}" for i in range(width)]


def _width(tensor: Any) -> int | None:
    """The number of a tensor's columns; None where it takes any number."""
    width = tensor.shape[1] if len(tensor.shape) == 2 else 1
    return width if isinstance(width, int) else None


class _Feed:
    """A feed that hands columns over as the graph's tensors."""

    def __init__(self, tensors: Callable[[], list[Any]], schema: Schema) -> None:
        self._find = tensors
        self._types = [i.type for i in schema.inputs]
        self._tensors: list[Any] | None = None

    def __call__(self, columns: Sequence[Column], rows: int, single: bool) -> dict[str, Any]:
        if self._tensors is None:
            self._tensors = self._find()
        given: dict[str, Any] = {}
        at = 0
        for one in self._tensors:
            width = _width(one) or len(columns)
            table = np.empty((rows, width), dtype=_TYPES[one.type][1])
            for i in range(width):
                table[:, i] = feed.with_nan(columns[at + i])
            given[one.name] = table if len(one.shape) == 2 else table[:, 0]
            at += width
        return given
