"""Asks a running Tandem with MLflow's own clients, in an environment that has them; what they gave, as JSON.

python ask_mlflow.py URL MODEL LOGIN     with {"column": [values]} on standard input, MLFLOW_TRACKING_TOKEN a token
"""

from __future__ import annotations

import json
import sys
from urllib.parse import urlsplit

import pandas as pd
from mlflow.deployments import get_deploy_client
from mlflow.pyfunc.scoring_server.client import ScoringServerClient


def main(url: str, model: str, login: str) -> None:
    table = pd.DataFrame(json.load(sys.stdin))
    client = get_deploy_client(url)
    split = table.to_dict(orient="split")
    forms = {
        "dataframe_split": split,
        "dataframe_records": table.to_dict(orient="records"),
        "instances": table.to_numpy(dtype=object).tolist(),
        "inputs": table.to_dict(orient="list"),
    }
    told: dict[str, object] = {"listed": sorted(one.name for one in client.list_endpoints())}
    told["found"] = client.get_endpoint(model).name
    for form, body in forms.items():
        answer = client.predict(endpoint=model, inputs={form: body})
        told[form] = [float(value).hex() for value in answer["predictions"]]
    try:
        client.predict(endpoint=model, inputs={"dataframe_split": table.iloc[:, :1].to_dict(orient="split")})
    except Exception as e:
        told["refused"] = str(e)
    if not login:  # this one has no other credential than a password
        json.dump(told, sys.stdout)
        return
    # This client takes a host and a port, of which it makes an address: so a path and a password get into it.
    parts = urlsplit(url)
    scoring = ScoringServerClient(f"{login}@{parts.hostname}", f"{parts.port}/endpoints/{model}")
    scoring.ping()
    told["scoring client"] = [float(v).hex() for v in scoring.invoke(table).get_predictions().iloc[:, 0]]
    json.dump(told, sys.stdout)


main(*sys.argv[1:])
