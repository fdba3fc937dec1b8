"""Azure's YAML of managed online endpoints and deployments, read into ours and written again.

Owns which of Azure's keys mean something here, which are passed over with a warning, and which are refused, each with
what to do instead. Must not know where a file came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from server.endpoints import collecting
from server.endpoints.definition import (
    AUTH_MODES,
    KEY_HEADER,
    AuthMode,
    BadDefinition,
    Deployment,
    Endpoint,
    check_traffic,
    header_of,
    model_of,
    name_of,
)
from server.endpoints.yaml_text import Document, document

ENDPOINT_KEYS = (
    *("name", "description", "tags", "auth_mode", "traffic", "mirror_traffic", "key_header", "key_generations"),
)
DEPLOYMENT_KEYS = (
    "name",
    "endpoint_name",
    "description",
    "tags",
    "model",
    "request_settings",
    "environment",
    *collecting.KEYS,
)
SCALED = "models share the cores of their server, and servers are scaled as a whole"
INSTANCES = "a model of a pool of its own has 'workers' in its sidecar"
IGNORED: Mapping[str, str] = {
    "$schema": "",
    "type": "",
    "compute": "there is one kind of server",
    "instance_type": SCALED,
    "instance_count": INSTANCES,
    "scale_settings": SCALED,
    "resources": SCALED,
    "app_insights_enabled": "metrics are at the metrics port",
    "identity": "models reach nothing outside",
    "public_network_access": "who reaches the server is for the network to say",
    "egress_public_network_access": "models have no network",
    "liveness_probe": "each worker is watched by its server",
    "readiness_probe": "a model serves once it has proven itself",
    "startup_probe": "a model serves once it has proven itself",
    "properties": "",
    "location": "",
    "kind": "",
}
"""Azure's keys that change nothing here, with why; those without a reason say nothing of what is wanted."""
CURES: Mapping[str, str] = {
    "environment.conda_file": "put the model and its requirements.txt into the model folder and name it in 'model'",
    "environment.build": "images are not built; packages are named in a requirements.txt beside the model",
    "code_configuration": "put score.py and what it reads into python_models/NAME/VERSION/ and name it in 'model'",
    "environment_variables": "what a script reads lies beside it, in its folder",
    "inference_config": "a model brings its own scoring code, or none is needed",
    "mirror_traffic": "it is a key of the endpoint",
    "path": "put the model into the model folder and name it, as azureml:NAME:VERSION",
}
"""What to do in place of a key that is refused."""
_MILLISECONDS_MAX = 3_600_000
_NO_NUMBER = 1 << 53


@dataclass(frozen=True, slots=True)
class Read:
    """What a file says, with what was passed over in it."""

    definition: Endpoint | Deployment
    warnings: tuple[str, ...] = ()


def read(data: bytes, file: str) -> Read:
    """The endpoint or the deployment in a YAML file. Raises BadDefinition with file, line and cure."""
    found = document(data, file)
    return of(found, is_deployment="endpoint_name" in found.data or "model" in found.data)


def of(found: Document, is_deployment: bool) -> Read:
    """The endpoint or the deployment that a document defines. Raises BadDefinition with place and cure."""
    try:
        return _deployment(found) if is_deployment else _endpoint(found)
    except BadDefinition as e:
        raise BadDefinition(e.code, f"{found.place(e.key)}: {e.text}", e.key) from e


def _endpoint(found: Document) -> Read:
    data = found.data
    warnings = _warnings(found, ENDPOINT_KEYS)
    endpoint = Endpoint(
        name=name_of(data.get("name"), "name"),
        auth_mode=_auth_mode(data.get("auth_mode", "key")),
        traffic=_weights(data, "traffic"),
        mirror_traffic=_weights(data, "mirror_traffic"),
        key_header=header_of(data.get("key_header", KEY_HEADER), "key_header"),
        key_generations=_generations(_mapping(data, "key_generations")),
        description=_text(data, "description"),
        tags=_texts(data, "tags"),
    )
    named = endpoint.traffic.keys() | endpoint.mirror_traffic.keys()
    check_traffic(endpoint, named)  # that there are such deployments is seen later
    return Read(endpoint, warnings)


def _deployment(found: Document) -> Read:
    data = found.data
    warnings = _warnings(found, DEPLOYMENT_KEYS)
    deployment = Deployment(
        name=name_of(data.get("name"), "name"),
        endpoint=name_of(data.get("endpoint_name"), "endpoint_name"),
        model=_model(data.get("model")),
        timeout_s=_timeout_s(_mapping(data, "request_settings")),
        description=_text(data, "description"),
        tags=_texts(data, "tags"),
        collect=collecting.collect_of(data),
    )
    return Read(deployment, (*warnings, *_environment_warnings(found), *_request_warnings(found)))


def _warnings(found: Document, known: tuple[str, ...]) -> tuple[str, ...]:
    warnings = []
    for key in found.data:
        if key in known:
            continue
        if key not in IGNORED:
            _refuse(key, CURES.get(key, f"leave it out; known are {', '.join(known)}"))
        if IGNORED[key]:
            warnings.append(f"{found.place(key)}: '{key}' changes nothing: {IGNORED[key]}")
    return tuple(warnings)


def _environment_warnings(found: Document) -> list[str]:
    """An image, and an environment that Azure has by name, change nothing: models bring their packages."""
    said = found.data.get("environment")
    for key in said if isinstance(said, Mapping) else ():
        name = f"environment.{key}"
        if name in CURES:
            _refuse(name, CURES[name])
    why = "a model is served by the server's packages, or by those of the requirements.txt beside it"
    return [f"{found.place('environment')}: 'environment' changes nothing: {why}"] if said is not None else []


def _request_warnings(found: Document) -> list[str]:
    """Of the settings of requests the time that one may take is obeyed; the rest is decided for the whole server."""
    known = {
        "max_concurrent_requests_per_instance": "requests are joined into batches",
        "max_queue_wait_ms": "TANDEM_QUEUE_WAIT_S says it for all models",
    }
    warnings = []
    for key in _mapping(found.data, "request_settings"):
        name = f"request_settings.{key}"
        if key in known:
            warnings.append(f"{found.place(name)}: '{name}' changes nothing: {known[key]}")
        elif key != "request_timeout_ms":
            _refuse(name, f"leave it out; known are request_timeout_ms, {', '.join(known)}")
    return warnings


def _model(value: Any) -> Any:
    if isinstance(value, Mapping):
        _refuse("model", CURES["path"])
    if isinstance(value, str) and value.startswith(("azureml://", "/subscriptions/")):
        _refuse("model", "name a model that this server has, as azureml:NAME:VERSION")
    return model_of(value)


def _auth_mode(value: Any) -> AuthMode:
    for mode in AUTH_MODES:
        if value == mode:
            return mode
    raise _bad("auth_mode", f"is {value!r}; it is one of {', '.join(AUTH_MODES)}")


def _timeout_s(settings: Mapping[str, Any]) -> float | None:
    given = settings.get("request_timeout_ms")
    if given is None:
        return None
    if type(given) is not int or not 1 <= given <= _MILLISECONDS_MAX:
        raise _bad("request_settings.request_timeout_ms", f"is {given!r}; it is 1 to {_MILLISECONDS_MAX} milliseconds")
    return given / 1000


def _generations(given: Mapping[str, Any]) -> dict[str, int]:
    for slot, number in given.items():
        if slot not in ("primary", "secondary") or type(number) is not int or not 1 <= number < _NO_NUMBER:
            raise _bad("key_generations", "has a number from 1 on for each of primary and secondary")
    return dict(given)


def _weights(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name_of(name, key): weight for name, weight in _mapping(data, key).items()}


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _bad(key, "has keys of its own, one a line")
    return value


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key, "")
    if not isinstance(value, str):
        raise _bad(key, f"is {value!r}; it is a text")
    return value


def _texts(data: Mapping[str, Any], key: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in _mapping(data, key).items()}


def _bad(key: str, text: str) -> BadDefinition:
    return BadDefinition("bad_definition", f"'{key}' {text}", key)


def _refuse(key: str, cure: str) -> NoReturn:
    raise BadDefinition("unsupported_field", f"'{key}' is not supported here: {cure}", key)
