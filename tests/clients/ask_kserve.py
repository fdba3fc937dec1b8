"""Asks a running Tandem with KServe's own client, in an environment that has it; what it was answered, as JSON.

python ask_kserve.py URL TOKEN MODEL     with {"name": {"datatype": …, "values": […]}} on standard input
"""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def main(url: str, token: str, model: str) -> None:
    given = json.load(sys.stdin)

    def signed() -> dict[str, str]:
        return {"authorization": f"Bearer {token}"}  # a new one each time: the client writes into it

    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    told = {
        "live": await v2.is_server_live(url, headers=signed()),
        "ready": await v2.is_server_ready(url, headers=signed()),
        "model ready": await v2.is_model_ready(url, model, headers=signed()),
    }
    for binary in (True, False):
        inputs = []
        for name, column in given.items():
            numbers = column["datatype"] != "BYTES"
            values = np.array(column["values"], dtype=np.float64 if numbers else np.object_)
            one = InferInput(name, list(values.shape), column["datatype"])
            one.set_data_from_numpy(values, binary_data=binary)
            inputs.append(one)
        request = InferRequest(model, inputs, parameters={"binary_data_output": binary})
        answer = await v2.infer(url, request, model_name=model, headers=signed(), timeout=60)
        told["binary" if binary else "json"] = [float(v).hex() for v in answer.outputs[0].as_numpy()]
    try:
        await v2.infer(url, InferRequest(model, inputs[:1]), model_name=model, headers=signed(), timeout=60)
    except Exception as e:
        told["refused"] = str(e)
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    told["v1 model ready"] = await v1.is_model_ready(url, model, headers=signed())
    values = [column["values"] for column in given.values()]
    rows = [dict(zip(given, row, strict=True)) for row in zip(*values, strict=True)]
    answer = await v1.infer(url, {"instances": rows}, model_name=model, headers=signed(), timeout=60)
    told["v1"] = [float(v).hex() for v in answer["predictions"]]
    json.dump(told, sys.stdout)


asyncio.run(main(*sys.argv[1:]))
