"""Asks a running Tandem with Python's vetiver, in an environment that has it; what it gave, as JSON.

python ask_vetiver.py URL CREDENTIAL     with {"column": [values]} on standard input
"""

from __future__ import annotations

import json
import sys
from datetime import date
from typing import Any

import pandas as pd
from vetiver import predict, vetiver_endpoint


def main(url: str, key: str) -> None:
    given = json.load(sys.stdin)
    signed = {"Authorization": key}

    def asked(model: str, data: Any) -> pd.DataFrame:
        return predict(vetiver_endpoint(f"{url}/endpoints/{model}/predict"), data, headers=signed)

    told = {}
    for model, columns in given.items():
        table = pd.DataFrame(columns)
        for name in table.columns:
            if name == "day":
                table[name] = pd.to_datetime(table[name].map(date.fromisoformat))
        answer = asked(model, table).iloc[:, 0].tolist()
        told[model] = [value.hex() if isinstance(value, float) else value for value in answer]
        told[f"{model}, one row"] = asked(model, table.iloc[0].to_dict()).iloc[:, 0].tolist() if model == "mpg" else []
        try:
            asked(model, table.iloc[:, :1])
        except (TypeError, OSError) as e:
            told[f"{model}, refused"] = f"{type(e).__name__}: {e}"
    json.dump(told, sys.stdout)


main(*sys.argv[1:])
