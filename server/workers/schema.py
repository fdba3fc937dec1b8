"""What a model takes and gives: typed inputs and outputs, as read from the model or stated in its sidecar.

A schema crosses process borders as plain JSON data (`to_data`, `from_data`); workers compile it once per model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

InputType = Literal["numeric", "integer", "logical", "string", "factor", "ordered"]
INPUT_TYPES: tuple[str, ...] = get_args(InputType)


class SchemaError(Exception):
    """A schema cannot be used; the text says why and is fit for analysts. Not recoverable without a new file."""


@dataclass(frozen=True, slots=True)
class Input:
    """One column that a caller must send. `levels` is None except for factor and ordered."""

    name: str
    type: InputType
    levels: tuple[str, ...] | None = None
    na: bool = True
    codes: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """Level to code, from 1, as R numbers them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", {level: i for i, level in enumerate(self.levels or (), 1)})
        if self.type not in INPUT_TYPES:
            raise SchemaError(f"input '{self.name}' has type '{self.type}'; known are {', '.join(INPUT_TYPES)}")
        if (self.type in ("factor", "ordered")) != bool(self.levels):
            raise SchemaError(f"input '{self.name}': levels are needed for factor and ordered, and only there")


@dataclass(frozen=True, slots=True)
class Output:
    """One thing a model can answer: a number, a label or a logical per row, or several named columns per row."""

    name: str
    type: str
    levels: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """A model's contract. The first output is the default."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]

    @property
    def input_names(self) -> list[str]:
        """The columns, in the model's order."""
        return [i.name for i in self.inputs]

    @property
    def default_output(self) -> str:
        """The output of a request that names none."""
        return self.outputs[0].name

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data, with absent members left out."""
        return {
            "inputs": [_present(i, ("name", "type", "levels", "na")) for i in self.inputs],
            "outputs": [_present(o, ("name", "type", "levels", "columns")) for o in self.outputs],
        }

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Schema:
        """The schema in `data`. Raises SchemaError where it is not one."""
        try:
            inputs = tuple(
                Input(i["name"], i["type"], _names(i.get("levels")), i.get("na", True)) for i in data["inputs"]
            )
            outputs = tuple(
                Output(o["name"], o["type"], _names(o.get("levels")), _names(o.get("columns"))) for o in data["outputs"]
            )
        except (KeyError, TypeError, AttributeError) as e:
            raise SchemaError("a schema needs inputs and outputs, each with a name and a type") from e
        if not inputs or not outputs:
            raise SchemaError("a schema needs at least one input and one output")
        if len({i.name for i in inputs}) != len(inputs):
            raise SchemaError("two inputs have the same name")
        return Schema(inputs, outputs)


def corrected(inputs: Sequence[Mapping[str, Any]], stated: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Inputs read from the model, with those that the sidecar states replacing or joining them by name.

    A stated input need only say what differs; one that changes the type drops the levels it had.
    """
    merged = {i["name"]: dict(i) for i in inputs}
    for one in stated:
        old = merged.get(one["name"], {})
        if one.get("type", old.get("type")) != old.get("type") and "levels" not in one:
            old = {k: v for k, v in old.items() if k != "levels"}
        merged[one["name"]] = {**old, **{k: v for k, v in one.items() if v is not None}}
    return list(merged.values())


def _present(item: Input | Output, names: Sequence[str]) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in names}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v is not None}


def _names(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(str(v) for v in values)
