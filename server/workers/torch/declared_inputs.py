"""A model's inputs: what the sidecar states, completed and checked by what the program's file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from server.wire.models import ImageSettings
from server.wire.schema import Input
from server.workers.errors import LoadFailed
from server.workers.stated_inputs import from_signature
from server.workers.tensors import shape_told
from server.workers.torch.program import Argument, Program

NUMBERS = ("numeric", "integer", "logical")
CURE = """the file does not say what the model takes; say it in the sidecar, as an image:
image: {resize: 256, crop: 224}
or as tensors without their rows, or as columns of numbers:
schema:
  inputs:
    - {name: x, type: tensor, shape: [3, 32, 32]}"""


def stated_inputs(
    stated: Sequence[Mapping[str, Any]], image: ImageSettings | None, program: Program
) -> tuple[Input, ...]:
    """The inputs: one image, or tensors only, or numbers only. Raises LoadFailed or SchemaError."""
    if image is not None:
        return (_image(stated),)
    if not stated:
        if program.arguments is None:
            raise LoadFailed("no_schema", CURE)
        return tuple(Input(a.name, "tensor", na=False, shape=a.shape) for a in program.arguments)
    types = [i.get("type") or "tensor" for i in stated]
    if set(types) == {"tensor"}:
        return _tensors(stated, program.arguments)
    if not set(types) <= set(NUMBERS):
        raise LoadFailed(
            "bad_schema",
            f"a PyTorch model takes tensors only or {', '.join(NUMBERS)} only; texts are for a scoring script",
        )
    return tuple(_number(i) for i in stated)


def of_signature(signature: Sequence[Mapping[str, Any]], program: Program) -> list[dict[str, Any]]:
    """The inputs of MLflow's signature as a sidecar would state them; none where they say less than the program."""
    if signature and all(i["type"] == "tensor" for i in signature):
        if program.arguments is not None and any(i["name"] is None for i in signature):
            return []
        return from_signature([{**i, "name": i["name"] or f"x{at}"} for at, i in enumerate(signature)])
    return from_signature(signature)


def _number(stated: Mapping[str, Any]) -> Input:
    logical: Literal["refuse", "number"] = "refuse" if stated["type"] == "logical" else "number"
    return Input(stated["name"], stated["type"], na=stated.get("na", False), logical=logical)


def _image(stated: Sequence[Mapping[str, Any]]) -> Input:
    if [i.get("type") or "image" for i in stated] not in ([], ["image"]):
        raise LoadFailed("bad_schema", "a model of images has no other input; remove schema.inputs or image")
    return Input(stated[0]["name"] if stated else "image", "image", na=False)


def _tensors(stated: Sequence[Mapping[str, Any]], arguments: Sequence[Argument] | None) -> tuple[Input, ...]:
    if arguments is None:
        return tuple(_tensor(i, i.get("shape")) for i in stated)
    if len(arguments) != len(stated):
        raise LoadFailed(
            "bad_schema",
            f"the sidecar has {len(stated)} tensors, the model takes {len(arguments)}; state each, in its order",
        )
    return tuple(_tensor(i, _agreed(i, argument)) for i, argument in zip(stated, arguments, strict=True))


def _tensor(stated: Mapping[str, Any], shape: Sequence[int | None] | None) -> Input:
    if not shape or any(size is not None and size < 1 for size in shape):
        raise LoadFailed("bad_schema", f"input '{stated['name']}': a tensor needs a shape, such as [3, 32, 32]")
    return Input(stated["name"], "tensor", na=False, shape=tuple(shape))


def _agreed(stated: Mapping[str, Any], argument: Argument) -> Sequence[int | None]:
    shape = stated.get("shape")
    if shape is None:
        return argument.shape
    if len(shape) != len(argument.shape) or any(
        None not in (ours, theirs) and ours != theirs for ours, theirs in zip(shape, argument.shape, strict=True)
    ):
        named = f"input '{stated['name']}' is {shape_told(shape)}"
        raise LoadFailed(
            "bad_schema", f"{named}, a row of the model's tensor is {shape_told(argument.shape)}; leave the shape out"
        )
    return tuple(theirs if ours is None else ours for ours, theirs in zip(shape, argument.shape, strict=True))
