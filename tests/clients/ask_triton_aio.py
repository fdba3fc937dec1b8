"""Asks a running Tandem with tritonclient's asyncio client, in an environment that has it; its answers, as JSON.

python ask_triton_aio.py HOST:PORT TOKEN
with {"model": {"inputs": {"name": {"datatype": …, "values": […]}}, "output": …}} on standard input
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
import tritonclient.http.aio as triton

TYPES = {"FP64": np.float64, "FP32": np.float32, "INT32": np.int32, "BOOL": np.bool_, "BYTES": np.object_}


def bits(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value.hex() if isinstance(value, float) else value


async def main(address: str, token: str) -> None:
    signed = {"authorization": f"Bearer {token}"}
    told: dict[str, Any] = {}
    client = triton.InferenceServerClient(address)
    told["live"] = await client.is_server_live()
    for model, asked in json.load(sys.stdin).items():
        for binary in (True, False):
            inputs = []
            for name, column in asked["inputs"].items():
                values = np.array(column["values"], TYPES[column["datatype"]])
                one = triton.InferInput(name, values.shape, column["datatype"])
                one.set_data_from_numpy(values, binary_data=binary)
                inputs.append(one)
            outputs = [triton.InferRequestedOutput(asked["output"], binary_data=binary)]
            answer = await client.infer(model, inputs, outputs=outputs, headers=dict(signed))
            told[f"{model}, {'binary' if binary else 'JSON'}"] = [
                bits(v) for v in answer.as_numpy(asked["output"]).tolist()
            ]
        zipped = await client.infer(model, inputs, headers=dict(signed), request_compression_algorithm="gzip")
        told[f"{model}, compressed"] = [bits(v) for v in zipped.as_numpy(asked["output"]).tolist()]
        try:
            await client.infer(model, inputs[:1] if len(inputs) > 1 else [], headers=dict(signed))
        except Exception as e:
            told[f"{model}, refused"] = str(e)
    await client.close()
    json.dump(told, sys.stdout)


asyncio.run(main(*sys.argv[1:]))
