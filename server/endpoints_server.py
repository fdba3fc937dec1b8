"""A running server, as the commands of endpoints ask it over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from auth.setup import issue_for
from server.config import Settings
from server.endpoints.edit import Conflict
from server.endpoints.packing import Packed

TIMEOUT_S = 120.0
READY_S = 900.0
"""How long a deployment is waited for: its packages may have to be installed."""
SEEN_S = 60.0
"""How long it may take until a server has looked at what it was sent."""
LOOK_EVERY_S = 0.5
_ADMIN = "admin"


class Server:
    """The endpoints of a server that runs. What it refuses raises Conflict, with its own words."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.server or f"http://{settings.host}:{settings.port}"
        self._settings = settings
        self._shown = ""

    def endpoints(self) -> list[dict[str, Any]]:
        """All endpoints."""
        return list(self._asked("GET", "/v1/endpoints"))

    def endpoint(self, name: str) -> dict[str, Any]:
        """One endpoint with its deployments."""
        return dict(self._asked("GET", _endpoint(name)))

    def put(self, name: str, deployment: str, document: Mapping[str, Any], exists: bool | None) -> list[str]:
        """Put a definition; warnings. `exists` says whether there must be one already."""
        headers = {"if-none-match": "*"} if exists is False else {}
        path = _endpoint(name, deployment)
        if exists:
            self._asked("GET", path)
        return list(self._asked("PUT", path, document, headers)["warnings"])

    def publish(self, packed: Packed) -> None:
        """Send a model version, unless the server has it."""
        if packed.version in self._versions(packed.model):
            return
        path = f"/v1/models/{quote(packed.model)}/versions/{packed.version}?r={str(packed.r).lower()}"
        self._answered("PUT", path, packed.archive, {"content-type": "application/octet-stream"})
        until = time.monotonic() + SEEN_S
        while packed.version not in self._versions(packed.model):
            if time.monotonic() > until:
                raise Conflict(f"the server has not looked at what was sent within {SEEN_S:.0f} s")
            time.sleep(LOOK_EVERY_S / 5)

    def _versions(self, model: str) -> list[str]:
        models = json.loads(self._answered("GET", "/v1/models", None, {}))
        return [version["version"] for one in models if one["model"] == model for version in one["versions"]]

    def prune(self, model: str, keep: str) -> None:
        """Have the server forget the versions of a model that was sent to it, but one."""
        for version in self._versions(model):
            if version != keep:
                with suppress(Conflict):  # it was not sent to it, or somebody else needs it
                    self._answered("DELETE", f"/v1/models/{quote(model)}/versions/{version}", None, {})

    def patch(self, name: str, deployment: str, members: Mapping[str, Any]) -> list[str]:
        """Change these members alone; warnings."""
        return list(self._asked("PATCH", _endpoint(name, deployment), members)["warnings"])

    def remove(self, name: str, deployment: str = "") -> None:
        """Remove a deployment, or an endpoint with its deployments."""
        self._asked("DELETE", _endpoint(name, deployment))

    def await_ready(self, name: str, deployment: str) -> None:
        """Wait until a deployment can answer. Raises Conflict where it cannot."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            found = self._asked("GET", _endpoint(name, deployment))
            if found["state"] == "ready":
                return
            if found["state"] == "failed":
                raise Conflict(f"the deployment '{deployment}' of '{name}' cannot answer: {found.get('reason', '')}")
            time.sleep(LOOK_EVERY_S)
        raise Conflict(f"the deployment '{deployment}' of '{name}' was not ready within {READY_S:.0f} s")

    def credentials(self, name: str) -> dict[str, Any]:
        """The keys of an endpoint, or a token for it, as its mode has it."""
        if self.endpoint(name)["auth_mode"] == "key":
            return dict(self._asked("GET", f"{_endpoint(name)}/keys"))
        return dict(self._asked("POST", f"{_endpoint(name)}/token"))

    def regenerate(self, name: str, slot: str) -> None:
        """Put another key in the place of one."""
        self._asked("POST", f"{_endpoint(name)}/keys/{slot}")

    def logs(self, name: str, deployment: str, lines: int) -> str:
        """The newest lines that a deployment has written."""
        return str(self._asked("GET", f"{_endpoint(name, deployment)}/logs?lines={lines}")["text"])

    def invoke(self, name: str, body: bytes, deployment: str = "") -> str:
        """What the endpoint answers to a body of JSON."""
        headers = {"azureml-model-deployment": deployment} if deployment else {}
        return self._answered("POST", f"/endpoints/{quote(name)}/score", body, headers).decode()

    def _asked(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        answer = self._answered(method, path, data, headers or {})
        return json.loads(answer) if answer else None

    def _answered(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> bytes:
        given = {"authorization": f"Bearer {self._credential()}", "content-type": "application/json", **headers}
        try:
            with urlopen(Request(self.url + path, data, given, method=method), timeout=TIMEOUT_S) as reply:
                return bytes(reply.read())
        except HTTPError as e:
            raise Conflict(_told(e.code, e.read())) from e
        except (URLError, OSError) as e:
            reason = getattr(e, "reason", e)
            raise Conflict(f"the server at {self.url} does not answer ({reason}); TANDEM_SERVER names another") from e

    def _credential(self) -> str:
        """What TANDEM_TOKEN has; else a token of the admin, for whoever may read the keys of this machine's server."""
        if not self._shown:
            s = self._settings
            given = s.token.get_secret_value() if s.token is not None else ""
            shared = s.accounts, s.token_key, s.database
            self._shown = _of_file(given) if given else issue_for(s.data, _ADMIN, time.time(), *shared)
        return self._shown


def _endpoint(name: str, deployment: str = "") -> str:
    beneath = f"/deployments/{quote(deployment, safe='')}" if deployment else ""
    return f"/v1/endpoints/{quote(name, safe='')}{beneath}"


def _of_file(given: str) -> str:
    """A credential, or what the file has that it names."""
    if "/" not in given:
        return given
    try:
        return Path(given).read_text().strip()
    except OSError as e:
        raise Conflict(f"TANDEM_TOKEN names a file that cannot be read: {e.strerror}") from e


def _told(status: int, body: bytes) -> str:
    """What a refusal says, in a line."""
    try:
        document = json.loads(body)
        return str(document.get("detail") or document.get("message") or document.get("error") or document)
    except (ValueError, AttributeError):
        return f"the server answers {status}"
