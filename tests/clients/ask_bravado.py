"""Asks a running Tandem with a client that bravado makes from a service's Swagger document; its answers, as JSON.

python ask_bravado.py URL TOKEN     with {"model": {"path": …, "rows": [rows]}} on standard input

bravado checks what it sends and what it gets against the document.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from bravado.client import SwaggerClient
from bravado.requests_client import RequestsClient


def main(url: str, token: str) -> None:
    http = RequestsClient()
    http.set_api_key(urlsplit(url).netloc, f"Bearer {token}", "Authorization", "header")
    told: dict[str, Any] = {}
    for model, asked in json.load(sys.stdin).items():
        config = {"use_models": False, "validate_requests": True, "validate_responses": True}
        client = SwaggerClient.from_url(f"{url}{asked['path']}/swagger.json", http_client=http, config=config)
        service = getattr(client, model)
        rows = asked["rows"]
        answers = [service.consume(WebServiceParameters=row).response().result for row in rows]
        told[model] = [one["outputParameters"] for one in answers]
        frame = {name: [row[name] for row in rows] for name in rows[0]}
        told[f"{model}, frame"] = (
            service.consume(WebServiceParameters={"inputData": frame}).response().result["outputData"]
        )
        begun = service.startBatchExecution(batchWebServiceParameters=rows, parallelCount=2).response().result
        execution = begun["batchExecutionId"]
        while (batch := service.getBatchExecutionStatus(executionId=execution).response().result)[
            "state"
        ] != "complete":
            time.sleep(0.02)
        told[f"{model}, batch"] = [one["outputParameters"] for one in batch["batchExecutionResults"]]
        told[f"{model}, batches"] = execution in service.getBatchExecutions().response().result
        service.cancelBatchExecution(executionId=execution).response()
        try:
            service.consume(WebServiceParameters={}).response()
        except Exception as e:
            told[f"{model}, refused"] = [e.status_code, e.swagger_result["message"], e.swagger_result["exceptionType"]]
    json.dump(told, sys.stdout)


main(*sys.argv[1:])
