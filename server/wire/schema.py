"""A model's contract: typed inputs, outputs and options, as read from the model or stated in its sidecar.

A schema crosses process borders as plain JSON data (`to_data`, `from_data`). A probe writes it, the catalog holds it as
data, and whoever has to know what it means reads it with `from_data`: workers, and who describes models to callers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

InputType = Literal[
    "numeric", "integer", "logical", "string", "factor", "ordered", "date", "datetime", "image", "tensor"
]
INPUT_TYPES: tuple[str, ...] = get_args(InputType)
OptionType = Literal["numeric", "integer", "string", "logical"]
OPTION_TYPES: tuple[str, ...] = get_args(OptionType)

Options = tuple[tuple[str, Any], ...]
"""A request's options, sorted by name: what predict is asked to do besides predicting."""


class SchemaError(Exception):
    """A schema cannot be used; the text says why and is fit for analysts. Not recoverable without a new file."""


@dataclass(frozen=True, slots=True)
class Input:
    """One column that a caller must send. Of a string, `levels` are the texts that the model knows, if it says so.

    `tz` is the zone of a datetime; `allowed` are the only numbers that a numeric may have, where the model makes levels
    of them (`factor(cyl)`).
    An `image` is the bytes of a JPEG or PNG file (in JSON as base64), a `tensor` nested lists of numbers of a `shape`,
    where None is any size.
    `na` tells whether a value may be missing. `new_level` and `missing` are policies: whether a level that the model
    does not know, or a column that is not sent, is refused or taken as a missing value. `logical` is the policy of a
    number: whether true and false are refused, as R refuses them, or taken as 1 and 0, as Python takes them.
    """

    name: str
    type: InputType
    levels: tuple[str, ...] | None = None
    na: bool = True
    tz: str | None = None
    allowed: tuple[float, ...] | None = None
    new_level: Literal["refuse", "na"] = "refuse"
    missing: Literal["refuse", "na"] = "refuse"
    shape: tuple[int | None, ...] | None = None
    logical: Literal["refuse", "number"] = "refuse"
    codes: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """Level to code, from 1, as R numbers them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", {level: i for i, level in enumerate(self.levels or (), 1)})
        if self.type not in INPUT_TYPES:
            raise SchemaError(f"input '{self.name}' has type '{self.type}'; known are {', '.join(INPUT_TYPES)}")
        if self.type in ("factor", "ordered") and not self.levels:
            raise SchemaError(f"input '{self.name}' is a {self.type} and needs levels")
        if self.levels and self.type not in ("factor", "ordered", "string"):
            raise SchemaError(f"input '{self.name}': only factor, ordered and string have levels")
        if self.allowed and self.type != "numeric":
            raise SchemaError(f"input '{self.name}': only numeric inputs have numbers that are allowed")
        if "na" in (self.new_level, self.missing) and not self.na:
            raise SchemaError(f"input '{self.name}' cannot be missing, so nothing can be taken as a missing value")


@dataclass(frozen=True, slots=True)
class Output:
    """One thing a model can answer: a number, a label or a logical per row, or several named columns per row.

    A `ranking` is a list of labels with their probabilities, the most probable first.
    """

    name: str
    type: str
    levels: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that a request may tell predict: its type and bounds, or the values it may have."""

    name: str
    type: OptionType
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.type not in OPTION_TYPES:
            raise SchemaError(f"option '{self.name}' has type '{self.type}'; known are {', '.join(OPTION_TYPES)}")


@dataclass(frozen=True, slots=True)
class Schema:
    """A model's contract. The first output is the default.

    A model with a `horizon` takes no rows: its option `h` says how many predictions to make. `extra` is what becomes
    of a column that is no input. A `raw` schema has no inputs: the body goes to a script as it is, and what the script
    returns is the reply. `swagger` is what a script's decorators say of both: `input` and `output` as Swagger has them,
    and the `versions` of Swagger that can.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    options: tuple[Option, ...] = ()
    horizon: bool = False
    extra: Literal["ignore", "refuse"] = "ignore"
    raw: bool = False
    swagger: Mapping[str, Any] | None = None

    @property
    def input_names(self) -> list[str]:
        """The columns, in the model's order."""
        return [i.name for i in self.inputs]

    @property
    def default_output(self) -> str:
        """The output of a request that names none."""
        return self.outputs[0].name

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data, with absent members and defaults left out."""
        data: dict[str, Any] = {
            "inputs": [_present(i, _INPUT_MEMBERS) for i in self.inputs],
            "outputs": [_present(o, ("name", "type", "levels", "columns")) for o in self.outputs],
        }
        if self.options:
            names = ("name", "type", "default", "minimum", "maximum", "values")
            data["options"] = [_present(o, names) for o in self.options]
        if self.horizon:
            data["horizon"] = True
        if self.extra != "ignore":
            data["extra"] = self.extra
        if self.raw:
            data["raw"] = True
        if self.swagger is not None:
            data["swagger"] = dict(self.swagger)
        return data

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Schema:
        """The schema in `data`. Raises SchemaError where it is not one."""
        try:
            schema = Schema(
                tuple(Input(**_tupled(i)) for i in data["inputs"]),
                tuple(Output(**_tupled(o)) for o in data["outputs"]),
                tuple(Option(**_tupled(o)) for o in data.get("options") or ()),
                bool(data.get("horizon")),
                data.get("extra", "ignore"),
                bool(data.get("raw")),
                data.get("swagger"),
            )
        except (KeyError, TypeError, AttributeError) as e:
            raise SchemaError("a schema needs inputs and outputs, each with a name and a type") from e
        if schema.raw:
            return schema
        if not schema.outputs or schema.horizon == bool(schema.inputs):
            raise SchemaError("a schema needs at least one input and one output")
        if len({i.name for i in schema.inputs}) != len(schema.inputs):
            raise SchemaError("two inputs have the same name")
        if schema.horizon and "h" not in [o.name for o in schema.options]:
            raise SchemaError("a model with a horizon needs the option h")
        return schema


_INPUT_MEMBERS = ("name", "type", "levels", "na", "tz", "allowed", "new_level", "missing", "shape", "logical")
_DEFAULTS = (("new_level", "refuse"), ("missing", "refuse"), ("logical", "refuse"))


def _present(item: Input | Output | Option, names: Sequence[str]) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in names}
    shown = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v is not None}
    return {k: v for k, v in shown.items() if (k, v) not in _DEFAULTS}


def _tupled(data: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments: lists of names become tuples of strings."""
    named = {k: tuple(str(x) for x in v) if isinstance(v, list | tuple) else v for k, v in data.items()}
    if data.get("allowed") is not None:
        named["allowed"] = tuple(float(x) for x in data["allowed"])
    if data.get("shape") is not None:
        named["shape"] = tuple(data["shape"])
    return named
