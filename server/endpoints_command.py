"""`tandem online-endpoint` and `online-deployment`: endpoints by the commands of Azure's `az ml`.

They change the files of the folder that TANDEM_ENDPOINTS names; a running server takes them within about a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from server.config import Settings
from server.endpoints import folder
from server.endpoints.definition import BadDefinition, Deployment
from server.endpoints.edit import Conflict, Folder, weights
from server.endpoints.folder import Defined

Act = Callable[[Settings, argparse.Namespace], Iterable[str]]
Refusals = (BadDefinition, Conflict, OSError)
"""What a command fails with; the text is for whoever gave it."""


def add_endpoints(actions: Any, run: Callable[[Act], Any]) -> None:
    """Add the actions of `tandem online-endpoint` to a parser."""
    create = _action(actions, "create", "define an endpoint by a file", run(_create))
    create.add_argument("--file", "-f", type=Path, required=True, help="YAML, as Azure has it")
    update = _action(actions, "update", "change an endpoint, or which percentages its deployments get", run(_update))
    update.add_argument("--file", "-f", type=Path, help="YAML, in place of what there was")
    update.add_argument("--name", "-n")
    update.add_argument("--traffic", "-r", help='percentages, as "blue=90 green=10"; all others get nothing')
    _shown(_named(_action(actions, "show", "what is defined of an endpoint", run(_show))))
    _shown(_action(actions, "list", "all endpoints that are defined", run(_list)))
    _named(_action(actions, "delete", "remove an endpoint with its deployments", run(_delete)))


def add_deployments(actions: Any, run: Callable[[Act], Any]) -> None:
    """Add the actions of `tandem online-deployment` to a parser."""
    create = _action(actions, "create", "define a deployment by a file", run(_create_deployment))
    create.add_argument("--file", "-f", type=Path, required=True, help="YAML, as Azure has it")
    create.add_argument("--all-traffic", action="store_true", help="have it answer all requests of its endpoint")
    update = _action(actions, "update", "put a deployment in the place of what there was", run(_update_deployment))
    update.add_argument("--file", "-f", type=Path, required=True, help="YAML, as Azure has it")
    _shown(_of(_named(_action(actions, "show", "what is defined of a deployment", run(_show_deployment)))))
    _shown(_of(_action(actions, "list", "all deployments of an endpoint", run(_list_deployments))))
    _of(_named(_action(actions, "delete", "remove a deployment that gets no traffic", run(_delete_deployment))))


def _action(actions: Any, name: str, about: str, run: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=about)
    for ignored in (("--resource-group", "-g"), ("--workspace-name", "-w"), ("--subscription",)):
        parser.add_argument(*ignored, help=argparse.SUPPRESS)  # there is one server, this one
    for ignored in (("--no-wait",), ("--yes", "-y")):
        parser.add_argument(*ignored, action="store_true", help=argparse.SUPPRESS)  # nothing is waited or asked for
    parser.set_defaults(run=run)
    return parser


def _named(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--name", "-n", required=True)
    return parser


def _of(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--endpoint-name", "-e", required=True)
    return parser


def _shown(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", "-o", choices=("json", "yaml", "tsv"), default="json")
    parser.add_argument("--query", metavar="MEMBER", help="one member alone, by its dotted name: scoring_uri")


def _folder(settings: Settings) -> Folder:
    if settings.endpoints is None:
        raise Conflict("TANDEM_ENDPOINTS is not set: it names the folder that these commands change")
    return Folder(settings.endpoints)


def _put(settings: Settings, file: Path, exists: bool | None) -> list[str]:
    """Write a file's definition; the lines to say."""
    name, warnings = _folder(settings).put(file.read_bytes(), file.name, exists)
    return [f"warning: {warning}" for warning in warnings] + [name]


def _create(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    return _put(settings, parsed.file, exists=False)


def _update(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    if parsed.file is not None:
        return _put(settings, parsed.file, exists=True)
    if parsed.name is None or parsed.traffic is None:
        raise Conflict('say what to change: --file, or --name and --traffic "blue=90 green=10"')
    _folder(settings).set_traffic(parsed.name, weights(parsed.traffic))
    return [parsed.name]


def _delete(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    _folder(settings).remove_endpoint(parsed.name)
    return []


def _show(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    return [_written(_endpoint(settings, _find(settings, parsed.name)), parsed)]


def _list(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    found = _defined(settings)
    return [_written([_endpoint(settings, one) for _, one in sorted(found.items())], parsed)]


def _create_deployment(settings: Settings, parsed: argparse.Namespace) -> Iterator[str]:
    lines = _put(settings, parsed.file, exists=False)
    if parsed.all_traffic:
        said = yaml.safe_load(parsed.file.read_bytes())
        _folder(settings).set_traffic(said["endpoint_name"], {said["name"]: 100})
    yield from lines


def _update_deployment(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    return _put(settings, parsed.file, exists=True)


def _delete_deployment(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    _folder(settings).remove_deployment(parsed.endpoint_name, parsed.name)
    return []


def _show_deployment(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    found = _find(settings, parsed.endpoint_name).deployments
    if parsed.name not in found:
        raise Conflict(f"there is no deployment '{parsed.name}' of '{parsed.endpoint_name}'")
    return [_written(_deployment(found[parsed.name]), parsed)]


def _list_deployments(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    found = _find(settings, parsed.endpoint_name).deployments
    return [_written([_deployment(one) for _, one in sorted(found.items())], parsed)]


def _defined(settings: Settings) -> Mapping[str, Defined]:
    path = _folder(settings).path
    return folder.read(path).endpoints if path.is_dir() else {}


def _find(settings: Settings, name: str) -> Defined:
    found = _defined(settings)
    if name not in found:
        raise Conflict(f"there is no endpoint '{name}'")
    return found[name]


def _endpoint(settings: Settings, defined: Defined) -> dict[str, Any]:
    endpoint = defined.endpoint
    return {
        "name": endpoint.name,
        "auth_mode": endpoint.auth_mode,
        "description": endpoint.description,
        "tags": dict(endpoint.tags),
        "traffic": dict(endpoint.traffic),
        "scoring_uri": f"http://{settings.host}:{settings.port}/endpoints/{endpoint.name}/score",
    }


def _deployment(deployment: Deployment) -> dict[str, Any]:
    timeout_s = deployment.timeout_s
    return {
        "name": deployment.name,
        "endpoint_name": deployment.endpoint,
        "model": f"azureml:{deployment.model.name}:{deployment.model.version}",
        "description": deployment.description,
        "tags": dict(deployment.tags),
        "request_settings": {} if timeout_s is None else {"request_timeout_ms": round(timeout_s * 1000)},
    }


def _written(data: Any, parsed: argparse.Namespace) -> str:
    for name in (parsed.query or "").split(".") if parsed.query else ():
        if not isinstance(data, dict) or name not in data:
            raise Conflict(f"there is no member '{parsed.query}'; --query takes a dotted name, as scoring_uri")
        data = data[name]
    match parsed.output:
        case "yaml":
            return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip("\n")
        case "tsv":
            return "\n".join(_tabbed(one) for one in (data if isinstance(data, list) else [data]))
    return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()


def _tabbed(data: Any) -> str:
    """The plain values of a row, as az writes them: what has members of its own is left out."""
    values = data.values() if isinstance(data, dict) else [data]
    return "\t".join(str(value) for value in values if not isinstance(value, dict | list))
