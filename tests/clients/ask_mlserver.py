"""Asks a running Tandem in the words of MLServer's codecs, in an environment that has them; its answers, as JSON.

python ask_mlserver.py URL TOKEN     with {"model": {"column": [values]}} on standard input
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pandas as pd
from mlserver.codecs import NumpyRequestCodec, PandasCodec, StringRequestCodec
from mlserver.types import InferenceRequest, InferenceResponse


def bits(value: Any) -> Any:
    return value.hex() if isinstance(value, float) else value


def _type(values: list[Any]) -> str | None:
    """MLServer's codecs know texts as objects; pandas has had a type of its own for them since 3."""
    return "object" if isinstance(values[0], str) else None


def main(url: str, token: str) -> None:
    told: dict[str, Any] = {}

    def asked(model: str, request: InferenceRequest) -> InferenceResponse:
        signed = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        body = request.model_dump_json(exclude_none=True).encode()
        sent = urllib.request.Request(f"{url}/v2/models/{model}/infer", body, signed)
        with urllib.request.urlopen(sent, timeout=60) as reply:
            return InferenceResponse.model_validate_json(reply.read())

    for model, columns in json.load(sys.stdin).items():
        table = pd.DataFrame({name: pd.Series(values, dtype=_type(values)) for name, values in columns.items()})
        answer = asked(model, PandasCodec.encode_request(table))
        told[model] = [bits(v) for v in PandasCodec.decode_response(answer).iloc[:, 0].tolist()]
        if all(np.issubdtype(kind, np.number) for kind in table.dtypes):
            whole = asked(model, NumpyRequestCodec.encode_request(table.to_numpy()))
            codec = StringRequestCodec if whole.outputs[0].datatype == "BYTES" else NumpyRequestCodec
            told[f"{model}, one tensor"] = [bits(v) for v in np.ravel(codec.decode_response(whole)).tolist()]
        try:
            asked(model, PandasCodec.encode_request(table.iloc[:, :1]))
        except urllib.error.HTTPError as e:
            told[f"{model}, refused"] = json.loads(e.read())["error"]
    json.dump(told, sys.stdout)


main(*sys.argv[1:])
