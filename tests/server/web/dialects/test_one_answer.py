"""One row, every dialect, one answer: whatever the rows are, the predictions are the native ones to the last bit."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import httpx
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.tandem import Tandem
from tests.server.web.dialects.test_open_inference import NA, SPECIAL

Row = dict[str, Any]
NUMBER = st.floats(-1e6, 1e6)
ODD = st.sampled_from([None, "Inf", "-Inf"])
"""What is missing or infinite, as JSON of Tandem has it; one column alone has them, so no sum of them is NaN."""
CARS = st.lists(
    st.fixed_dictionaries({"wt": NUMBER | ODD, "hp": NUMBER, "cyl": st.sampled_from(["4", "6", "8"])}),
    min_size=1,
    max_size=4,
)
JSON = {"content-type": "application/json"}


class Asking:
    """One caller of one model, over one connection."""

    def __init__(self, client: httpx.Client, version: str) -> None:
        self.client = client
        self.version = version

    def post(self, path: str, body: Any, headers: dict[str, str] = JSON) -> httpx.Response:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        reply = self.client.post(path, content=content, headers=headers)
        assert reply.status_code == 200, (path, reply.text)
        return reply


def columns(rows: list[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def native(asking: Asking, rows: list[Row]) -> Any:
    return asking.post("/v1/models/mpg/score", {"rows": rows}).json()["predictions"]


def open_inference(asking: Asking, rows: list[Row]) -> Any:
    inputs = [
        {"name": name, "shape": [len(rows)], "datatype": "BYTES" if name == "cyl" else "FP64", "data": values}
        for name, values in columns(rows).items()
    ]
    return asking.post("/v2/models/mpg/infer", {"inputs": inputs}).json()["outputs"][0]["data"]


def open_inference_binary(asking: Asking, rows: list[Row]) -> Any:
    inputs, blobs = [], []
    for name, values in columns(rows).items():
        blob = texts(values) if name == "cyl" else doubles(values)
        kind = "BYTES" if name == "cyl" else "FP64"
        size = {"binary_data_size": len(blob)}
        inputs.append({"name": name, "shape": [len(rows)], "datatype": kind, "parameters": size})
        blobs.append(blob)
    head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    reply = asking.post(
        "/v2/models/mpg/infer", head + b"".join(blobs), {"inference-header-content-length": str(len(head))}
    )
    length = int(reply.headers["inference-header-content-length"])
    found = [value for (value,) in struct.iter_unpack("<d", reply.content[length:])]
    return [in_json(value) for value in found]


def kserve_v1(asking: Asking, rows: list[Row]) -> Any:
    return asking.post("/v1/models/mpg:predict", {"instances": rows}).json()["predictions"]


def mlflow(asking: Asking, rows: list[Row]) -> Any:
    table = columns(rows)
    split = {"columns": [*table], "data": [[*row] for row in zip(*table.values(), strict=True)]}
    return asking.post("/endpoints/mpg/invocations", {"dataframe_split": split}).json()["predictions"]


def azure_ml(asking: Asking, rows: list[Row]) -> Any:
    return asking.post("/endpoints/mpg/score", {"df": columns(rows)}).json()


def vetiver(asking: Asking, rows: list[Row]) -> Any:
    return [row[".pred"] for row in asking.post("/endpoints/mpg/predict", rows, {}).json()]


def machine_learning_server(asking: Asking, rows: list[Row]) -> Any:
    body = {"inputData": columns(rows)}
    return asking.post(f"/api/mpg/{asking.version}", body).json()["outputData"]["response"]


DIALECTS: list[Callable[[Asking, list[Row]], Any]] = [
    *(open_inference, open_inference_binary, kserve_v1, mlflow, azure_ml, vetiver, machine_learning_server)
]


def texts(values: list[str]) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value.encode() for value in values)


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


def exactly(values: list[Any]) -> list[Any]:
    return [value.hex() if isinstance(value, float) else value for value in map(number, values)]


def number(value: Any) -> Any:
    return float(value) if type(value) is int else value


def test_one_row_has_one_answer_in_every_dialect(server: Tandem) -> None:
    with httpx.Client(base_url=server.url, headers=server.headers(), timeout=60) as client:
        asking = Asking(client, server.model("mpg")["version"])

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(CARS)
        def held(rows: list[Row]) -> None:
            expected = exactly(native(asking, rows))
            for dialect in DIALECTS:
                assert exactly(dialect(asking, rows)) == expected, dialect.__name__

        held()
