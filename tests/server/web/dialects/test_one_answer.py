"""One row, every dialect, one answer: whatever the rows are, the predictions are the native ones to the last bit."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.harness.tandem import Tandem
from tests.server.web.dialects.test_open_inference import NA, SPECIAL

Row = dict[str, Any]
NUMBER = st.floats(-1e6, 1e6)
ODD = st.sampled_from([None, "Inf", "-Inf"])
"""What is missing or infinite, as JSON of Tandem has it; one column alone has them, so no sum of them is NaN."""
CARS = {"wt": NUMBER | ODD, "hp": NUMBER, "cyl": st.sampled_from(["4", "6", "8"])}
DAYS = {"day": st.dates().map(str), "weekend": st.booleans(), "count": st.integers(-(2**31), 2**31 - 1).map(float)}
PICTURES = {"image": st.binary(min_size=64, max_size=64).map(lambda pixels: base64.b64encode(png(pixels)).decode())}
MEASURES = st.floats(-1e3, 1e3, width=32)
"""The graph takes floats of 32 bits."""
JSON = {"content-type": "application/json"}


def png(pixels: bytes) -> bytes:
    """A picture of eight by eight gray dots."""
    file = io.BytesIO()
    Image.frombytes("L", (8, 8), pixels).save(file, "PNG")
    return file.getvalue()


class Asking(NamedTuple):
    """One caller of one output of one model, over one connection."""

    client: httpx.Client
    model: str
    about: dict[str, Any]
    """The model's current version, as Tandem tells of it."""
    output: str | None

    def post(self, path: str, body: Any, headers: dict[str, str] = JSON, **params: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        at = path.format(model=self.model, version=self.about["version"])
        reply = self.client.post(at, content=content, headers=headers, params=params or None)
        assert reply.status_code == 200, (at, reply.text)
        return reply

    def named(self, member: str) -> dict[str, Any]:
        """The member of a body that names the output, if one is named."""
        return {} if self.output is None else {member: {"output": self.output}}

    def datatypes(self) -> dict[str, str]:
        kinds = {"numeric": "FP64", "integer": "INT32", "logical": "BOOL"}
        return {one["name"]: kinds.get(one["type"], "BYTES") for one in self.about["schema"]["inputs"]}

    def images(self) -> set[str]:
        return {one["name"] for one in self.about["schema"]["inputs"] if one["type"] == "image"}


def columns(rows: list[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def flat(values: Any) -> list[Any]:
    """Rows of values without names: those that a dialect does not tell."""
    return [[*value.values()] if isinstance(value, dict) else ranked(value) for value in values]


def ranked(value: Any) -> Any:
    """A ranking as pairs."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [(one["label"], one["probability"]) for one in value]
    return value


def native(asking: Asking, rows: list[Row]) -> Any:
    output = {} if asking.output is None else {"output": asking.output}
    return flat(asking.post("/v1/models/{model}/score", {"rows": rows} | output).json()["predictions"])


def open_inference(asking: Asking, rows: list[Row]) -> Any:
    kinds = asking.datatypes()
    inputs = [
        {"name": name, "shape": [len(rows)], "datatype": kinds[name], "data": values}
        | ({"parameters": {"content_type": "base64"}} if name in asking.images() else {})
        for name, values in columns(rows).items()
    ]
    reply = asking.post("/v2/models/{model}/infer", {"inputs": inputs} | wanted(asking)).json()["outputs"][0]
    return of_tensor(reply, reply["data"])


def wanted(asking: Asking) -> dict[str, Any]:
    return {} if asking.output is None else {"outputs": [{"name": asking.output}]}


def of_tensor(output: dict[str, Any], data: list[Any]) -> list[Any]:
    """The rows of a tensor; of Triton's texts of a ranking, pairs."""
    if len(output["shape"]) == 1:
        return data
    width = output["shape"][1]
    rows = [data[at : at + width] for at in range(0, len(data), width)]
    return [[pair(v) for v in row] for row in rows] if output["datatype"] == "BYTES" else rows


def pair(text: str) -> tuple[str, float]:
    probability, _, label = text.split(":", 2)
    return label, float(probability)


def open_inference_binary(asking: Asking, rows: list[Row]) -> Any:
    inputs, blobs, kinds = [], [], asking.datatypes()
    for name, values in columns(rows).items():
        kind = kinds[name]
        given = [base64.b64decode(v) for v in values] if name in asking.images() else values
        blob = texts(given) if kind == "BYTES" else doubles(given) if kind == "FP64" else bytes(given)
        size = {"binary_data_size": len(blob)}
        inputs.append({"name": name, "shape": [len(rows)], "datatype": kind, "parameters": size})
        blobs.append(blob)
    head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}} | wanted(asking))
    length = {"inference-header-content-length": str(len(head))}
    reply = asking.post("/v2/models/{model}/infer", head + b"".join(blobs), length)
    cut = int(reply.headers["inference-header-content-length"])
    output, data = orjson.loads(reply.content[:cut])["outputs"][0], reply.content[cut:]
    if output["datatype"] == "FP64":
        return of_tensor(output, [in_json(value) for (value,) in struct.iter_unpack("<d", data)])
    if output["datatype"] == "INT32":
        return of_tensor(output, [value for (value,) in struct.iter_unpack("<i", data)])
    return of_tensor(output, [text.decode() for text in of_texts(data)])


def kserve_v1(asking: Asking, rows: list[Row]) -> Any:
    body = {"instances": rows} | asking.named("parameters")
    return flat(asking.post("/v1/models/{model}:predict", body).json()["predictions"])


def mlflow(asking: Asking, rows: list[Row]) -> Any:
    table = columns(rows)
    split = {"columns": [*table], "data": [[*row] for row in zip(*table.values(), strict=True)]}
    body = {"dataframe_split": split} | asking.named("params")
    return flat(asking.post("/endpoints/{model}/invocations", body).json()["predictions"])


def azure_ml(asking: Asking, rows: list[Row]) -> Any:
    return flat(asking.post("/endpoints/{model}/score", {"df": columns(rows)} | asking.named("params")).json())


def vetiver(asking: Asking, rows: list[Row]) -> Any:
    output = {} if asking.output is None else {"output": asking.output}
    reply = asking.post("/endpoints/{model}/predict", rows, {}, **output).json()
    if isinstance(reply, dict):
        return flat(reply["predict"])
    found = [[*row.values()] for row in reply]
    return [row[0] if set(named) <= {".pred", ".pred_class"} else row for row, named in zip(found, reply, strict=True)]


def machine_learning_server(asking: Asking, rows: list[Row]) -> Any:
    [*found] = asking.post("/api/{model}/{version}", {"inputData": columns(rows)}).json()["outputData"].values()
    return flat(found[0]) if len(found) == 1 else [[*row] for row in zip(*found, strict=True)]


DIALECTS: list[Callable[[Asking, list[Row]], Any]] = [
    *(open_inference, open_inference_binary, kserve_v1, mlflow, azure_ml, vetiver, machine_learning_server)
]


def texts(values: list[Any]) -> bytes:
    given = [value if isinstance(value, bytes) else value.encode() for value in values]
    return b"".join(struct.pack("<I", len(value)) + value for value in given)


def of_texts(data: bytes) -> list[bytes]:
    found = []
    while data:
        (size,) = struct.unpack_from("<I", data)
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def doubles(values: list[Any]) -> bytes:
    return struct.pack(
        f"<{len(values)}d", *(SPECIAL.get(v, v) if v is None or isinstance(v, str) else v for v in values)
    )


def in_json(value: float) -> Any:
    """A double as Tandem's JSON has it; all of NA's bits that count are in its low word."""
    if value != value:
        same = struct.pack("<d", value)[:4] == struct.pack("<d", NA)[:4]
        return None if same else "NaN"
    return {float("inf"): "Inf", float("-inf"): "-Inf"}.get(value, value)


def exactly(value: Any) -> Any:
    """The same with each number's bits written out."""
    if isinstance(value, list | tuple):
        return [exactly(one) for one in value]
    return float(value).hex() if isinstance(value, int | float) and not isinstance(value, bool) else value


@pytest.mark.parametrize(
    ("model", "drawn", "output"),
    [
        ("mpg", CARS, None),
        ("dated", DAYS, None),
        ("iris", None, None),
        ("iris", None, "prob"),
        ("iris_logistic", None, None),
        ("iris_logistic", None, "prob"),
        ("graph", None, None),
        ("graph", None, "prob"),
        ("digits", PICTURES, None),
        ("digits", PICTURES, "prob"),
    ],
)
def test_one_row_has_one_answer_in_every_dialect(
    server: Tandem, model: str, drawn: dict[str, Any] | None, output: str | None
) -> None:
    about = next(v for v in server.model(model)["versions"] if v["current"])
    cells = drawn or {one["name"]: MEASURES for one in about["schema"]["inputs"]}
    with httpx.Client(base_url=server.url, headers=server.headers(), timeout=60) as client:
        asking = Asking(client, model, about, output)
        dialects = [d for d in DIALECTS if output is None or d is not machine_learning_server]  # it has one output

        @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=4))
        def held(rows: list[Row]) -> None:
            expected = exactly(native(asking, rows))
            for dialect in dialects:
                assert exactly(dialect(asking, rows)) == expected, dialect.__name__

        held()
