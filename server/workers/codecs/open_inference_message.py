"""The Open Inference Protocol's bodies as what they hold: a head in JSON, and tensors in it or as bytes behind it.

Nothing is known here of models. The standard library and orjson are all that is imported, because scoring scripts are
asked by this protocol too, in processes that have Tandem's other libraries not loaded.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from server.workers.codecs.bare_words import as_numbers, document
from server.workers.errors import BadBody, Fault, Invalid
from server.workers.tensors import Misshapen, flattened

Values: TypeAlias = "list[Any] | array[float] | array[int]"

NUMBERS = {
    "FP64": "d",
    "FP32": "f",
    "FP16": "e",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
}
"""The types of numbers, each with its letter in `struct`."""
FLOATS = ("FP64", "FP32", "FP16")
DATATYPES = (*NUMBERS, "BOOL", "BYTES")
MAX_DIMENSIONS = 32


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: `values` are in row-major order, doubles as an array where they came as bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request says of its reply: its id, and which outputs are to come as bytes behind the head."""

    id: Any = None
    binary: Mapping[str, bool] = field(default_factory=dict)
    otherwise: bool = False
    """Whether the outputs that `binary` does not name come as bytes."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request: its tensors, the outputs that it names, its parameters, and what it says of its reply."""

    tensors: Sequence[Tensor]
    outputs: tuple[str, ...]
    parameters: Mapping[str, Any]
    wanted: Wanted


def read(body: bytes | memoryview, head_size: bytes, max_tensors: int) -> Message:
    """Read a request; `head_size` is the length of its head in digits, empty where the whole body is JSON.

    Raises BadBody, or Invalid for a value that is not of its tensor's type.
    """
    view = memoryview(body)
    size = int(head_size) if head_size else len(view)
    if size > len(view):
        raise BadBody("Inference-Header-Content-Length is larger than the body")
    head = document(bytes(view[:size]))
    inputs = head.get("inputs")
    if type(inputs) is not list:
        raise BadBody('the body must be a JSON object with "inputs", an array of tensors')
    if len(inputs) > max_tensors:
        raise BadBody(f"the body has {len(inputs)} tensors, and no more than {max_tensors} are read")
    blobs = _Blobs(view[size:])
    tensors = [_tensor(one, blobs) for one in inputs]
    if blobs.left:
        raise BadBody(f"the lengths do not add up: {blobs.left} bytes follow the last tensor")
    return Message(tensors, *_reply(head))


class _Blobs:
    """The bytes behind the head, taken from the front."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    @property
    def left(self) -> int:
        return len(self._data)

    def take(self, size: Any, name: str) -> memoryview:
        if type(size) is not int or not 0 <= size <= len(self._data):
            raise BadBody(f'the lengths do not add up: "binary_data_size" of tensor "{name[:100]}" is not in the body')
        taken, self._data = self._data[:size], self._data[size:]
        return taken


def _tensor(one: Any, blobs: _Blobs) -> Tensor:
    if type(one) is not dict or type(one.get("name")) is not str:
        raise BadBody("a tensor is an object with name, shape and datatype")
    name, datatype, shape = one["name"], one.get("datatype"), one.get("shape")
    shown = name[:100]
    if datatype not in DATATYPES:
        raise BadBody(f'the datatype of tensor "{shown}" is none of {", ".join(DATATYPES)}')
    if type(shape) is not list or not 0 < len(shape) <= MAX_DIMENSIONS or not all(map(_is_size, shape)):
        raise BadBody(f'the shape of tensor "{shown}" is no array of one to {MAX_DIMENSIONS} sizes')
    parameters = one.get("parameters") or {}
    if type(parameters) is not dict:
        raise BadBody(f'"parameters" of tensor "{shown}" is no object')
    count = math.prod(shape)
    if "binary_data_size" in parameters:
        if "data" in one:
            raise BadBody(f'tensor "{shown}" has both "data" and "binary_data_size"')
        values = _from_bytes(shown, datatype, count, blobs.take(parameters["binary_data_size"], name))
    else:
        values = _from_json(shown, datatype, shape, one.get("data"))
    return Tensor(name, datatype, tuple(shape), values, parameters)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


# Tensors in JSON


def _from_json(name: str, datatype: str, shape: list[int], data: Any) -> list[Any]:
    if type(data) is not list:
        raise BadBody(f'tensor "{name}" has neither "data" nor "binary_data_size"')
    values = data
    if data and type(data[0]) is list:
        try:
            _, values = flattened(data, shape)
        except Misshapen as e:
            raise BadBody(f'"data" of tensor "{name}" is not of its shape {shape}' + _got(e)) from None
    elif len(data) != math.prod(shape):
        raise BadBody(f'"data" of tensor "{name}" has {len(data)} values, its shape {shape} is for {math.prod(shape)}')
    return _typed(name, datatype, values)


def _got(error: Misshapen) -> str:
    return f": {error.got}" if error.got else ""


def _typed(name: str, datatype: str, values: list[Any]) -> list[Any]:
    """The values, of which each is null or of the tensor's type. Raises Invalid."""
    types = set(map(type, values)) - {type(None)}
    if datatype in FLOATS:
        known = types <= {float, int} or all(type(v) in (float, int, type(None)) or v in _SPECIAL for v in values)
        if known:
            values = values if types <= {float, int} else as_numbers(values)
            if datatype != "FP64":
                return [_rounded(name, datatype, row, value) for row, value in enumerate(values)]
    elif datatype in NUMBERS:
        known = types <= {int} or all(v is None or type(v) is int or _is_whole(v) for v in values)
        low, high = _range(NUMBERS[datatype])
        if known and any(v is not None and not low <= v <= high for v in values):
            row = next(r for r, v in enumerate(values) if v is not None and not low <= v <= high)
            raise _unfit(name, datatype, row, "a number out of range")
    else:
        known = types <= {bool if datatype == "BOOL" else str}
    if not known:
        row, value = next((r, v) for r, v in enumerate(values) if not _is_of(datatype, v))
        raise _unfit(name, datatype, row, type(value).__name__)
    return values


_SPECIAL = ("NaN", "Inf", "-Inf")


def _range(letter: str) -> tuple[int, int]:
    """The least and the largest whole number of a type."""
    bits = 8 * struct.calcsize(f"<{letter}")
    return (0, 2**bits - 1) if letter.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _is_whole(value: Any) -> bool:
    return type(value) is float and value.is_integer()


def _is_of(datatype: str, value: Any) -> bool:
    if value is None:
        return True
    if datatype in FLOATS:
        return type(value) in (float, int) or value in _SPECIAL
    if datatype in NUMBERS:
        return type(value) is int or _is_whole(value)
    return type(value) is (bool if datatype == "BOOL" else str)


def _rounded(name: str, datatype: str, row: int, value: Any) -> Any:
    """A number of single or half precision as what it is, so that JSON and bytes mean the same."""
    if type(value) not in (int, float):
        return value
    try:
        letter = NUMBERS[datatype]
        return struct.unpack(f"<{letter}", struct.pack(f"<{letter}", value))[0]
    except OverflowError:
        raise _unfit(name, datatype, row, "a number out of range") from None


def _unfit(name: str, datatype: str, row: int, got: str) -> Invalid:
    hint = "write missing values as null" if datatype != "BYTES" else "write texts in quotes"
    fault = Fault(row, name, f"a value of type {datatype}", got, hint)
    return Invalid(f'tensor "{name}" holds a value that is not of its datatype', [fault])


# Tensors as bytes


def _from_bytes(name: str, datatype: str, count: int, data: memoryview) -> Values:
    if datatype == "BYTES":
        return _texts(name, count, data)
    letter = NUMBERS.get(datatype, "B")
    if len(data) != count * struct.calcsize(f"<{letter}"):
        raise BadBody(f'the lengths do not add up: tensor "{name}" of {count} values has {len(data)} bytes')
    if datatype == "BOOL":
        if bytes(data).translate(None, b"\0\1"):
            raise BadBody(f'tensor "{name}" holds bytes that are neither 0 nor 1')
        return list(map(bool, data))
    if datatype == "FP16":
        return array("d", struct.unpack(f"<{count}e", data))
    values: array[Any] = array(letter)
    values.frombytes(data)
    return array("d", values) if datatype == "FP32" else values


def _texts(name: str, count: int, data: memoryview) -> list[bytes]:
    """Texts or files, each behind its length. Raises BadBody."""
    texts: list[bytes] = []
    whole, at, end = bytes(data), 0, len(data)
    while at < end:
        stop = at + 4 + int.from_bytes(whole[at : at + 4], "little")
        if at + 4 > end or stop > end:
            raise BadBody(f'the lengths do not add up: tensor "{name}" ends inside of value {len(texts)}')
        texts.append(whole[at + 4 : stop])
        at = stop
    if len(texts) != count:
        raise BadBody(f'the lengths do not add up: tensor "{name}" of {count} values has {len(texts)}')
    return texts


# What is said of the reply


def _reply(head: Mapping[str, Any]) -> tuple[tuple[str, ...], Mapping[str, Any], Wanted]:
    parameters = head.get("parameters") or {}
    if type(parameters) is not dict:
        raise BadBody('"parameters" is no object')
    outputs = head.get("outputs") or []
    if type(outputs) is not list or not all(type(o) is dict and type(o.get("name")) is str for o in outputs):
        raise BadBody('"outputs" is no array of objects that each have a name')
    names = tuple(o["name"] for o in outputs)
    if len(set(names)) < len(names):
        raise BadBody("an output is named twice")
    if type(head.get("id")) in (dict, list):
        raise BadBody('"id" is no text')
    told = {o["name"]: o["parameters"] for o in outputs if type(o.get("parameters")) is dict}
    binary = {name: bool(said["binary_data"]) for name, said in told.items() if "binary_data" in said}
    return names, parameters, Wanted(head.get("id"), binary, bool(parameters.get("binary_data_output")))


# Writing


def written(head: dict[str, Any], blobs: Sequence[bytes]) -> tuple[bytes, bytes]:
    """A reply's body, and as notes the length of its head in digits, empty where the whole body is JSON."""
    text = orjson.dumps(head)
    return (text + b"".join(blobs), b"%d" % len(text)) if blobs else (text, b"")


def as_bytes(texts: Sequence[bytes]) -> bytes:
    """Texts, each behind its length."""
    return b"".join(part for text in texts for part in (len(text).to_bytes(4, "little"), text))
