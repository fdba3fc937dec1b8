"""The forms in which each dialect takes a table, written as JSON text, so that it may be as bad as it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import httpx

Column = tuple[str, Sequence[str]]
"""A name, and each value in JSON."""
JSON = {"content-type": "application/json"}


def records(columns: Sequence[Column]) -> str:
    """An object for each row."""
    rows = zip(*(values for _, values in columns), strict=True)
    names = [name for name, _ in columns]
    return array(members(zip(names, row, strict=True)) for row in rows)


def frame(columns: Sequence[Column]) -> str:
    """An array for each column."""
    return members((name, array(values)) for name, values in columns)


def split(columns: Sequence[Column]) -> str:
    """Names, and an array for each row."""
    rows = zip(*(values for _, values in columns), strict=True)
    names = array(f'"{name}"' for name, _ in columns)
    return members([("columns", names), ("data", array(array(row) for row in rows))])


def tensors(columns: Sequence[Column]) -> str:
    """A tensor for each column."""
    return array(
        members([("name", f'"{name}"'), ("shape", f"[{len(values)}]"), _datatype(values), ("data", array(values))])
        for name, values in columns
    )


def array(values: Iterable[str]) -> str:
    """An array of what is JSON already."""
    return "[" + ", ".join(values) + "]"


def members(pairs: Iterable[tuple[str, str]]) -> str:
    """An object, of names and of what is JSON already."""
    return "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"


def _datatype(values: Sequence[str]) -> tuple[str, str]:
    if any(value in ("true", "false") for value in values):
        return "datatype", '"BOOL"'
    return "datatype", '"BYTES"' if any(value.startswith('"') for value in values) else '"FP64"'


class Way(NamedTuple):
    """How a dialect is asked."""

    dialect: str
    path: str
    around: str
    write: Callable[[Sequence[Column]], str]

    def body(self, columns: Sequence[Column]) -> bytes:
        """The body with these columns."""
        return (self.around % self.write(columns)).encode()

    def status(self, code: str) -> int:
        """The status of what does not fit."""
        if self.dialect == "vetiver":
            return 422
        return 422 if self.dialect == "native" and code == "invalid_input" else 400


WAYS = {
    "native rows": Way("native", "/v1/models/{model}/score", '{"rows": %s}', records),
    "native columns": Way("native", "/v1/models/{model}/score", '{"columns": %s}', frame),
    "open_inference": Way("open_inference", "/v2/models/{model}/infer", '{"inputs": %s}', tensors),
    "kserve_v1": Way("kserve_v1", "/v1/models/{model}:predict", '{"instances": %s}', records),
    "mlflow split": Way("mlflow", "/endpoints/{model}/invocations", '{"dataframe_split": %s}', split),
    "mlflow records": Way("mlflow", "/endpoints/{model}/invocations", '{"dataframe_records": %s}', records),
    "mlflow inputs": Way("mlflow", "/endpoints/{model}/invocations", '{"inputs": %s}', frame),
    "azureml data": Way("azureml", "/endpoints/{model}/score", '{"data": %s}', records),
    "azureml input_data": Way("azureml", "/endpoints/{model}/score", '{"input_data": %s}', split),
    "azureml df": Way("azureml", "/endpoints/{model}/score", '{"df": %s}', frame),
    "vetiver": Way("vetiver", "/endpoints/{model}/predict", "%s", records),
    "mls": Way("mls", "/api/{model}/{version}", "%s", frame),
    "mls frame": Way("mls", "/api/{model}/{version}", '{"inputData": %s}', frame),
}


def told(way: Way, reply: httpx.Response) -> str:
    """What a refusal says, after its form was checked."""
    if way.dialect == "vetiver" and reply.headers["content-type"].startswith("text/plain"):
        return reply.text  # of a Python model
    document = reply.json()
    if way.dialect == "native":
        assert reply.headers["content-type"] == "application/problem+json"
        return str(document["detail"])
    assert reply.headers["content-type"] == "application/json"
    members = {"open_inference": "error", "kserve_v1": "error"}
    text = document[members.get(way.dialect, "message")]
    if way.dialect == "azureml":
        assert set(document) == {"message"}
    if way.dialect == "mls":
        assert set(document) == {"message", "link", "exceptionType"}
    assert isinstance(text, str) and text
    return text


def code(reply: httpx.Response) -> str:
    """The code of a refusal."""
    return reply.headers.get("x-tandem-code") or str(reply.json()["code"])
