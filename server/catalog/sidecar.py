"""Sidecars: the YAML file beside a model file that says what the model file cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.catalog import beneath
from server.catalog.beneath import Unopened
from server.wire.collect import Collect
from server.wire.models import ImageSettings, TorchSettings
from server.wire.schema import InputType

MAX_BYTES = 1 << 20
MAX_DEPTH = 64


class SidecarError(Exception):
    """A sidecar cannot be used; the text says which key is wrong and what is known."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StatedInput(_Strict):
    """An input stated or corrected: what is left out stays as the model says."""

    name: str
    type: InputType | None = None
    levels: list[str] | None = None
    na: bool | None = None
    tz: str | None = None
    allowed: list[float] | None = None
    new_level: Literal["refuse", "na"] | None = None
    missing: Literal["refuse", "na"] | None = None
    shape: list[int | None] | None = None


class StatedOutput(_Strict):
    """An output stated: `levels` for labels, `columns` where there are several values a row."""

    name: str
    type: Literal["number", "integer", "logical", "string", "label", "columns", "ranking"] = "number"
    levels: list[str] | None = None
    columns: list[str] | None = None


class StatedSchema(_Strict):
    """The model's inputs and outputs, and what becomes of a column that is no input."""

    inputs: list[StatedInput] = []
    outputs: list[StatedOutput] = []
    extra: Literal["ignore", "refuse"] = "ignore"


class MadeWith(_Strict):
    """The versions that an analyst had when the model was saved; told, not enforced."""

    r: str | None = None
    packages: dict[str, str] | None = None


class ServiceSettings(_Strict):
    """What callers of Machine Learning Server know the model by, where they were written for a service of theirs."""

    operation_id: str | None = Field(None, pattern="^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    output: str | None = Field(None, min_length=1, max_length=64)


class Sidecar(_Strict):
    """Everything a sidecar may say."""

    description: str = Field("", description="shown in /docs")
    packages: list[str] = Field([], description="packages whose namespaces are loaded before the model is read")
    arguments: dict[str, Any] = Field({}, description="further arguments of predict")
    inputs_and_outputs: StatedSchema = Field(
        StatedSchema(), alias="schema", description="states or corrects the schema"
    )
    golden: list[dict[str, Any]] = Field([], description="rows with their expected answers, checked at load")
    made_with: MadeWith = Field(MadeWith(), description="versions of R and packages with which the model was saved")
    trusted: list[str] = Field([], description="types in a .skops file that may be loaded")
    threads: int = Field(1, ge=1, le=512, description="threads that a model of scikit-learn or a script may use")
    image: ImageSettings | None = Field(None, description="the model's input is an image")
    torch: TorchSettings = Field(TorchSettings(), description="how a PyTorch model is run")
    max_rows: int | None = Field(None, ge=1, description="rows predicted in one call when requests are joined")
    workers: int | None = Field(None, ge=1, le=64, description="gives the model a pool of its own, of so many workers")
    service: ServiceSettings = Field(ServiceSettings(), description="names for clients of Machine Learning Server")
    timeout_s: float | None = Field(None, gt=0, le=3600, description="seconds until a request is answered 504")
    collect: Collect | None = Field(None, description="requests and predictions are recorded")


_ALL = frozenset({"collect", "description", "golden", "made_with", "service", "timeout_s"})
KEYS: Mapping[str, frozenset[str]] = {
    "r": _ALL | {"packages", "arguments", "schema", "max_rows", "workers"},
    "python": _ALL | {"schema", "max_rows", "trusted", "threads", "workers"},
    "torch": _ALL | {"schema", "max_rows", "image", "torch"},
    "script": _ALL | {"threads", "workers"},
}
"""What a sidecar may say to each runtime. Anything else would be ignored, which its author would not notice."""

_WHAT = {"r": "an R model", "python": "a scikit-learn or ONNX model", "torch": "a PyTorch model", "script": "a script"}
_WHY = {
    ("torch", "workers"): "there is one worker for each GPU",
    ("torch", "threads"): "TANDEM_TORCH_THREADS says how many there are",
}


def read(path: Path, runtime: str, folder: Path | None = None) -> Sidecar:
    """Read the sidecar of a model of this runtime; an absent file is an empty one. Raises SidecarError.

    It is read if it lies in the model `folder` (the sidecar's own, if None is given).
    """
    sidecar = _read(path, folder or path.parent)
    said = {Sidecar.model_fields[name].alias or name for name in sidecar.model_fields_set}
    for key in sorted(said - KEYS[runtime]):
        why = f" ({_WHY[runtime, key]})" if (runtime, key) in _WHY else ""
        raise SidecarError(f"the sidecar's '{key}' means nothing to {_WHAT[runtime]}{why}; leave it out")
    return sidecar


def _read(path: Path, folder: Path) -> Sidecar:
    data = bytearray()
    try:
        for piece in beneath.pieces(path, folder):
            data += piece
            if len(data) > MAX_BYTES:
                break
    except FileNotFoundError:
        return Sidecar()
    except Unopened as e:
        raise SidecarError(f"the sidecar cannot be used: {e.text}") from e
    except OSError as e:
        raise SidecarError(f"the sidecar cannot be read: {e.strerror}") from e
    return parse(bytes(data))


def parse(data: bytes) -> Sidecar:
    """The sidecar in a file's bytes. Raises SidecarError."""
    if len(data) > MAX_BYTES:
        raise SidecarError("the sidecar is larger than 1 MiB")
    try:
        document = yaml.load(data, _Loader)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as e:
        # A value that does not fit its tag ("2024-13-45", "!!int ''") is not always a YAMLError.
        where = getattr(e, "problem_mark", None)
        raise SidecarError("the sidecar is not YAML" + (f" (line {where.line + 1})" if where else "")) from e
    if document is None:
        return Sidecar()
    try:
        sidecar = Sidecar.model_validate(document)
        orjson.dumps(document)
    except ValidationError as e:
        raise SidecarError("; ".join(_message(error) for error in e.errors()[:5])) from e
    except TypeError as e:
        raise SidecarError(f"the sidecar says something that JSON cannot hold: {e}") from e
    return sidecar


class _Loader(yaml.SafeLoader):
    """A loader without aliases, a few lines of which stand for gigabytes, and without deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Whatever comes next in the document."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            where = f"*{event.anchor}, line {line}"
            raise SidecarError(f"the sidecar has an alias ({where}); write out what it stands for")
        if self.depth == MAX_DEPTH:
            raise SidecarError(f"the sidecar is nested more than {MAX_DEPTH} deep (line {line})")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _message(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        part = _PARTS.get(error["loc"][0])
        known = part if part is not None else [f.alias or name for name, f in Sidecar.model_fields.items()]
        return f"the sidecar has an unknown key '{where}'; known are {', '.join(known)}"
    return f"the sidecar's '{where}': {error['msg']}"


_PARTS = {
    "image": [f.name for f in fields(ImageSettings)],
    "torch": [f.name for f in fields(TorchSettings)],
    "service": [*ServiceSettings.model_fields],
    "collect": [f.name for f in fields(Collect)],
}
"""The keys of the parts that have keys of their own."""
