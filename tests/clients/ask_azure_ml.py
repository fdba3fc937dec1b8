"""Asks endpoints with Azure ML's own client: argument the resource manager's address; what to ask on standard input."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

manager, given = sys.argv[1], json.load(sys.stdin)
os.environ["AZUREML_DEV_URL_MFE"] = manager

from azure.ai.ml import MLClient  # noqa: E402  # it reads the address when it is imported
from azure.core.credentials import AccessToken  # noqa: E402


class Credential:
    """Somebody whom the resource manager lets in."""

    def get_token(self, *scopes: str, **more: object) -> AccessToken:
        return AccessToken("a token", int(time.time()) + 3600)


client = MLClient(Credential(), "subscription", "group", "workspace", enable_telemetry=False)
told = {}
for name, (endpoint, body, deployment) in given.items():
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        Path(file.name).write_text(json.dumps(body))
        try:
            told[name] = client.online_endpoints.invoke(
                endpoint_name=endpoint, request_file=file.name, deployment_name=deployment
            )
        except Exception as error:
            told[name] = f"{type(error).__name__}: {error}"
json.dump(told, sys.stdout)
