"""What the supervisor and a template tell each other of a model: what to read, and what was found out about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from server.wire.record import Misfit, Record
from server.wire.schema import Schema, SchemaError

_STRICT = {"extra": "forbid"}
"""Settings of pydantic, which reads these classes from a sidecar: an unknown key is refused."""


def _about(default: Any, description: str = "", **bounds: Any) -> Any:
    """A setting's default, and what its author is told of it; `bounds` are pydantic's."""
    return field(default=default, metadata={"description": description, **bounds} if description else bounds)


@dataclass(frozen=True, slots=True)
class ImageSettings(Record):
    """How an image becomes the model's input. Sizes are [height, width] in pixels, or one number."""

    __pydantic_config__: ClassVar = _STRICT

    resize: int | tuple[int, int] | None = _about(None, "shorter side, or height and width")
    crop: int | tuple[int, int] | None = _about(None, "what is cut out of the middle")
    color: Literal["rgb", "gray"] = "rgb"
    scale: float = _about(1 / 255, "by what pixel values from 0 to 255 are multiplied first", gt=0)
    mean: tuple[float, ...] | None = _about(None, "subtracted, by channel")
    std: tuple[float, ...] | None = _about(None, "divided by, by channel")
    max_pixels: int = _about(50_000_000, "images with more are refused before they are decoded", ge=1)

    @property
    def channels(self) -> int:
        """Three for red, green and blue."""
        return 1 if self.color == "gray" else 3


@dataclass(frozen=True, slots=True)
class TorchSettings(Record):
    """How a PyTorch model is run. Whatever is not exact is accepted only if the golden rows agree."""

    __pydantic_config__: ClassVar = _STRICT

    activation: Literal["none", "softmax", "sigmoid"] = "none"
    labels: tuple[str, ...] | None = _about(None, "the classes, in the order of the model's outputs")
    top_k: int = _about(5, "how many labels a ranking has", ge=1)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    channels_last: bool = False
    compile: bool = False
    cuda_graphs: bool = False
    max_batch: int = _about(64, "rows computed at once", ge=1)
    pad: float | None = _about(None, "fills up tensors of different sizes; without it they go apart")
    tolerance: float | None = _about(None, "largest difference to the golden rows, relative to 1", gt=0)

    @property
    def inexact(self) -> list[str]:
        """The options in force that change answers in their last digits, or more."""
        found = [f"precision {self.precision}"] if self.precision != "fp32" else []
        return found + [name for name in ("channels_last", "compile", "cuda_graphs") if getattr(self, name)]


@dataclass(frozen=True, slots=True)
class RuntimeSettings(Record):
    """What only one runtime understands, from a model's sidecar or its MLmodel."""

    trusted: Sequence[str] = ()
    """Types in a .skops file that may be loaded."""
    threads: int = 1
    """Threads that a model of scikit-learn or a script may use."""
    image: ImageSettings | None = None
    """Given where the model's input is an image."""
    torch: TorchSettings = TorchSettings()
    """How a PyTorch model is run."""
    code: str | None = None
    """The folder of the modules that MLflow keeps beside a model, relative to its file."""
    whole_folder: bool = False
    """Whether files beside the model's file belong to it."""
    pyfunc: Mapping[str, Any] | None = None
    """What loads a python_function of MLflow, where the model is one (`server.catalog.mlmodel`)."""


@dataclass(frozen=True, slots=True)
class ModelSpec(Record):
    """One model file to probe or load, with what its sidecar says. `model_key` names it in every frame."""

    model_key: str
    name: str
    version: str
    path: str
    packages: Sequence[str] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Mapping[str, Any]] = ()
    """The inputs that the sidecar states or corrects; each says what differs."""
    outputs: Sequence[Mapping[str, Any]] = ()
    """The outputs that the sidecar states."""
    signature: Sequence[Mapping[str, Any]] = ()
    """The inputs as MLflow wrote them down: name, type, shape or dtype, and whether they are optional.

    The file may know better.
    """
    extra: Literal["ignore", "refuse"] = "ignore"
    golden: Sequence[Mapping[str, Any]] = ()
    max_rows: int = 1024
    settings: RuntimeSettings = RuntimeSettings()
    schema: Mapping[str, Any] | None = None
    """The model's contract as the probe found it (`Schema.to_data`); None where it is about to be probed."""
    example: Any = None
    """A row, or any body of a script; as the probe found it, or as the model's author gave it."""
    rowwise: bool = False
    """Whether requests may be predicted together, as the probe found it."""
    load_timeout_s: float = 60.0
    """How long reading and trying the model may take; trying optional things takes a small part of it."""
    loads_in_worker: bool = False
    """Whether each worker reads the model itself, as the probe found it."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the runtime wanted to be told again, as the probe found it."""
    harmless: Sequence[str] = ()
    """What the model's packages set that nobody else has a use for, as the probe found it."""


LoadCode = Literal[
    "bad_golden",
    "bad_schema",
    "bad_script",
    "bad_sidecar",
    "failed",
    "golden_mismatch",
    "missing_code",
    "needs_compiler",
    "needs_cuda",
    "no_golden",
    "no_predict",
    "no_schema",
    "no_tolerance",
    "not_a_model",
    "not_served",
    "package_missing",
    "predict_fails",
    "script_fails",
    "unreadable",
    "unsupported_input",
    "untrusted_types",
    "writes_to_its_folder",
]
"""Why a runtime refuses a model file; `docs/operations.md` has a cure for each."""


@dataclass(frozen=True, slots=True)
class Description(Record):
    """What a probe found out about a model."""

    schema: Mapping[str, Any]
    """The model's contract (`Schema.to_data`)."""
    model_class: str
    package: str | None
    package_version: str | None
    example: Any
    """A row; of a script any body, or None."""
    example_prediction: Any
    rowwise: bool
    """Whether requests may be predicted together."""
    batch_reason: str
    """Why they may, or may not."""
    golden_rows: int
    load_warnings: Sequence[str] = ()
    """What the library warned of while it read the file, and what had to be assumed of the model."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the runtime wants to be told again when it loads the model."""
    isolated: str | None = None
    """Why the model must have a process of its own, where it must."""
    harmless: Sequence[str] = ()
    """What its packages set that nobody else has a use for (`server.workers.traces`)."""
    loads_in_worker: bool = False
    """Whether each worker must read the model itself, because it cannot be called in a fork of its reader."""

    @classmethod
    def from_data(cls, data: Any) -> Description:
        """The description in plain JSON data; a model may have spoken for its probe. Raises Misfit."""
        found = super(Description, cls).from_data(data)
        try:
            Schema.from_data(found.schema)
        except SchemaError as e:
            raise Misfit(f"Description.schema is none: {e}") from e
        return found
