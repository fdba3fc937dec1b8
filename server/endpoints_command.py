"""`tandem online-endpoint`, `online-deployment` and `apply`: endpoints by the commands of Azure's `az ml`.

They ask a running server over HTTP. With TANDEM_ENDPOINTS they change the files of that folder instead, which a running
server takes within about a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from server import endpoints_written
from server.config import Settings
from server.endpoints import azure_yaml, folder, packing
from server.endpoints.definition import BadDefinition, Deployment
from server.endpoints.documents import SHARES
from server.endpoints.edit import Conflict, Folder, weights
from server.endpoints.folder import Defined
from server.endpoints.packing import Packed
from server.endpoints.yaml_text import MAX_BYTES, Document
from server.endpoints.yaml_text import document as read_document
from server.endpoints_server import Server
from server.endpoints_written import written

Act = Callable[[Settings, argparse.Namespace], Iterable[str]]
Refusals = (BadDefinition, Conflict, OSError)
"""What a command fails with; the text is for whoever gave it."""


@dataclass(frozen=True, slots=True)
class File:
    """A definition in a file, with what `--set` has put in its place."""

    document: dict[str, Any]
    endpoint: str
    deployment: str
    """Empty where the file defines the endpoint itself."""
    path: Path
    changed: bool
    packed: Packed | None = None
    """The files that come with it."""

    @property
    def data(self) -> bytes:
        """The YAML, as it was written where nothing was put in its place."""
        return _yaml(self.document) if self.changed else self.path.read_bytes()


def add_endpoints(actions: Any, run: Callable[[Act], Any]) -> None:
    """Add the actions of `tandem online-endpoint` to a parser."""
    _of_file(_action(actions, "create", "define an endpoint by a file", run(_create)))
    update = _action(actions, "update", "change an endpoint, or which percentages its deployments get", run(_update))
    _of_file(update, required=False)
    update.add_argument("--traffic", "-r", help='percentages, as "blue=90 green=10"; all others get nothing')
    update.add_argument("--mirror-traffic", help='of whose requests a deployment gets copies, as "green=10"')
    endpoints_written.add_to(_named(_action(actions, "show", "an endpoint", run(_show))))
    endpoints_written.add_to(_action(actions, "list", "all endpoints", run(_list)))
    _named(_action(actions, "delete", "remove an endpoint with its deployments", run(_delete)))
    credentials = _action(actions, "get-credentials", "the keys of an endpoint, or a token for it", run(_credentials))
    endpoints_written.add_to(_named(credentials))
    regenerate = _named(_action(actions, "regenerate-keys", "put another key in the place of one", run(_regenerate)))
    regenerate.add_argument("--key-type", choices=("primary", "secondary"), default="primary")
    invoke = _named(_action(actions, "invoke", "ask an endpoint", run(_invoke)))
    invoke.add_argument("--request-file", "-r", type=Path, required=True, help="the body, JSON as the model takes it")
    invoke.add_argument("--deployment-name", "-d", default="", help="who is to answer, whatever the percentages")


def add_deployments(actions: Any, run: Callable[[Act], Any]) -> None:
    """Add the actions of `tandem online-deployment` to a parser."""
    create = _action(actions, "create", "define a deployment by a file", run(_create_deployment))
    _of(_of_file(create), required=False)
    create.add_argument("--all-traffic", action="store_true", help="have it answer all requests of its endpoint")
    update = _action(actions, "update", "put a deployment in the place of what there was", run(_update_deployment))
    _of(_of_file(update), required=False)
    endpoints_written.add_to(_of(_named(_action(actions, "show", "a deployment", run(_show_deployment)))))
    endpoints_written.add_to(_of(_action(actions, "list", "the deployments of an endpoint", run(_list_deployments))))
    _of(_named(_action(actions, "delete", "remove a deployment that gets no traffic", run(_delete_deployment))))
    logs = _of(_named(_action(actions, "get-logs", "what a deployment has written", run(_logs))))
    logs.add_argument("--lines", "-l", type=int, default=50)


def add_apply(parser: argparse.ArgumentParser, run: Callable[[Act], Any]) -> None:
    """The arguments of `tandem apply`."""
    parser.add_argument("--file", "-f", type=Path, required=True, help="a folder of YAML files, or one file")
    parser.set_defaults(run=run(_apply))


def _action(actions: Any, name: str, about: str, run: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=about)
    for ignored in (("--resource-group", "-g"), ("--workspace-name", "-w"), ("--subscription",)):
        parser.add_argument(*ignored, help=argparse.SUPPRESS)  # there is one server, this one
    for ignored in (("--yes", "-y"), ("--local",), ("--debug",), ("--only-show-errors",)):
        parser.add_argument(*ignored, action="store_true", help=argparse.SUPPRESS)  # nothing is asked for
    parser.add_argument("--no-wait", action="store_true", help="do not wait until a deployment can answer")
    parser.set_defaults(run=run)
    return parser


def _of_file(parser: argparse.ArgumentParser, required: bool = True) -> argparse.ArgumentParser:
    parser.add_argument("--file", "-f", type=Path, required=required, help="YAML, as Azure has it")
    parser.add_argument("--name", "-n", help="in place of the name in the file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="in place of what the file says"
    )
    return parser


def _named(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--name", "-n", required=True)
    return parser


def _of(parser: argparse.ArgumentParser, required: bool = True) -> argparse.ArgumentParser:
    parser.add_argument("--endpoint-name", "--endpoint", "-e", required=required)
    return parser


def _file(parsed: argparse.Namespace, remote: bool) -> File:
    """The definition that a command is given, with the names and values of its options.

    For a `remote` server, files that it brings are put together; a folder of definitions has no place for them.
    """
    found = read_document(parsed.file.read_bytes()[: MAX_BYTES + 1], parsed.file.name)
    document = dict(found.data)
    names = {"name": parsed.name, "endpoint_name": getattr(parsed, "endpoint_name", None)}
    options = [(key, name) for key, name in names.items() if name] + [_assignment(text) for text in parsed.set]
    for key, value in options:
        _assign(document, key, value)
    files = None
    if remote and packing.brings_files(document):
        try:
            files = packing.packed(document, parsed.file.parent)
        except BadDefinition as e:
            raise BadDefinition(e.code, f"{found.place(e.key)}: {e.text}", e.key) from e
        document = dict(files.document)
    is_deployment = "endpoint_name" in document or "model" in document
    read = azure_yaml.of(Document(found.file, document, found.lines), is_deployment).definition
    of = read.endpoint if isinstance(read, Deployment) else read.name
    return File(document, of, read.name if isinstance(read, Deployment) else "", parsed.file, bool(options), files)


def _assignment(text: str) -> tuple[str, Any]:
    key, is_there, value = text.partition("=")
    if not is_there:
        raise Conflict(f"--set {text} is not KEY=VALUE, as in --set model=azureml:mpg:2")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        return key, value


def _assign(document: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for part in above:
        document = document.setdefault(part, {})
        if not isinstance(document, dict):
            raise Conflict(f"--set {key}: '{part}' has no keys of its own")
    document[last] = value


def _yaml(document: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=120).encode()


def _put(settings: Settings, file: File, exists: bool | None) -> list[str]:
    """Put a file's definition; the lines to say."""
    if settings.endpoints is not None:
        name, warnings = Folder(settings.endpoints).put(file.data, file.path.name, exists)
    else:
        name = file.deployment or file.endpoint
        warnings = _send(Server(settings), file, file.document, exists)
    return [f"warning: {warning}" for warning in warnings] + [name]


def _send(server: Server, file: File, document: Mapping[str, Any], exists: bool | None) -> tuple[str, ...]:
    """Put a definition, with the files that it brings; warnings."""
    if file.packed is not None:
        server.publish(file.packed)
    said = server.put(file.endpoint, file.deployment, document, exists)
    return (*(file.packed.warnings if file.packed is not None else ()), *said)


def _set_traffic(settings: Settings, endpoint: str, traffic: Mapping[str, int], key: str = "traffic") -> None:
    if settings.endpoints is not None:
        Folder(settings.endpoints).set_traffic(endpoint, traffic, key)
    else:
        Server(settings).patch(endpoint, "", {key: dict(traffic)})


def _create(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    return _put(settings, _file(parsed, settings.endpoints is None), exists=False)


def _update(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    if parsed.file is not None:
        return _put(settings, _file(parsed, settings.endpoints is None), exists=True)
    if parsed.name is None or (parsed.traffic is None and parsed.mirror_traffic is None and not parsed.set):
        raise Conflict('say what to change: --file, or --name and --traffic "blue=90 green=10"')
    for key in (key for key in SHARES if getattr(parsed, key) is not None):
        _set_traffic(settings, parsed.name, weights(getattr(parsed, key)), key)
    if parsed.set:
        if settings.endpoints is not None:
            raise Conflict("--set without --file is for a running server; change the file of the endpoint")
        members: dict[str, Any] = {}
        for text in parsed.set:
            _assign(members, *_assignment(text))
        Server(settings).patch(parsed.name, "", members)
    return [parsed.name]


def _delete(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    if settings.endpoints is not None:
        Folder(settings.endpoints).remove_endpoint(parsed.name)
    else:
        server = Server(settings)
        deployments = [one["name"] for one in server.endpoint(parsed.name)["deployments"]]
        server.remove(parsed.name)
        for one in deployments:
            server.prune(packing.model_of(parsed.name, one), keep="")
    return []


def _show(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    return written(_endpoint(settings, parsed.name), parsed)


def _list(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    if settings.endpoints is None:
        return written(Server(settings).endpoints(), parsed)
    found = _defined(settings.endpoints)
    return written([_of_folder(settings, one) for _, one in sorted(found.items())], parsed)


def _credentials(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    return written(Server(settings).credentials(parsed.name), parsed)


def _regenerate(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    Server(settings).regenerate(parsed.name, parsed.key_type)
    return []


def _invoke(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    return [Server(settings).invoke(parsed.name, parsed.request_file.read_bytes(), parsed.deployment_name)]


def _create_deployment(settings: Settings, parsed: argparse.Namespace) -> Iterable[str]:
    file = _file(parsed, settings.endpoints is None)
    yield from _put(settings, file, exists=False)
    if settings.endpoints is None and (parsed.all_traffic or not parsed.no_wait):
        Server(settings).await_ready(file.endpoint, file.deployment)
    if parsed.all_traffic:
        _set_traffic(settings, file.endpoint, {file.deployment: 100})


def _update_deployment(settings: Settings, parsed: argparse.Namespace) -> Iterable[str]:
    file = _file(parsed, settings.endpoints is None)
    yield from _put(settings, file, exists=True)
    if settings.endpoints is None and not parsed.no_wait:
        Server(settings).await_ready(file.endpoint, file.deployment)
        if file.packed is not None:
            Server(settings).prune(file.packed.model, file.packed.version)


def _delete_deployment(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    if settings.endpoints is not None:
        Folder(settings.endpoints).remove_deployment(parsed.endpoint_name, parsed.name)
    else:
        Server(settings).remove(parsed.endpoint_name, parsed.name)
        Server(settings).prune(packing.model_of(parsed.endpoint_name, parsed.name), keep="")
    return []


def _show_deployment(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    for one in _endpoint(settings, parsed.endpoint_name)["deployments"]:
        if one["name"] == parsed.name:
            return written(one, parsed)
    raise Conflict(f"there is no deployment '{parsed.name}' of '{parsed.endpoint_name}'")


def _list_deployments(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    return written(_endpoint(settings, parsed.endpoint_name)["deployments"], parsed)


def _logs(settings: Settings, parsed: argparse.Namespace) -> list[str]:
    return [Server(settings).logs(parsed.endpoint_name, parsed.name, parsed.lines)]


def _apply(settings: Settings, parsed: argparse.Namespace) -> Iterable[str]:
    """Have the server be as the files say: endpoints, then their deployments, then the traffic."""
    if settings.endpoints is not None:
        raise Conflict("TANDEM_ENDPOINTS is set: its folder says already what there is")
    paths = folder.files(parsed.file) if parsed.file.is_dir() else [parsed.file]
    given = [_file(argparse.Namespace(file=path, name=None, set=[]), remote=True) for path in paths]
    server = Server(settings)
    for one in sorted(given, key=lambda file: bool(file.deployment)):
        document = {key: value for key, value in one.document.items() if one.deployment or key not in SHARES}
        for warning in _send(server, one, document, exists=None):
            yield f"warning: {warning}"
    for one in given:
        if one.deployment:
            server.await_ready(one.endpoint, one.deployment)
    for one in given:
        if not one.deployment and (shares := {key: one.document[key] for key in SHARES if key in one.document}):
            server.patch(one.endpoint, "", shares)
        yield f"{one.endpoint}/{one.deployment}" if one.deployment else one.endpoint


def _endpoint(settings: Settings, name: str) -> dict[str, Any]:
    if settings.endpoints is None:
        return Server(settings).endpoint(name)
    found = _defined(settings.endpoints)
    if name not in found:
        raise Conflict(f"there is no endpoint '{name}'")
    return _of_folder(settings, found[name])


def _defined(path: Path) -> Mapping[str, Defined]:
    return folder.read(path).endpoints if path.is_dir() else {}


def _of_folder(settings: Settings, defined: Defined) -> dict[str, Any]:
    endpoint = defined.endpoint
    return {
        "name": endpoint.name,
        "auth_mode": endpoint.auth_mode,
        "description": endpoint.description,
        "tags": dict(endpoint.tags),
        "traffic": dict(endpoint.traffic),
        "mirror_traffic": dict(endpoint.mirror_traffic),
        "scoring_uri": f"http://{settings.host}:{settings.port}/endpoints/{endpoint.name}/score",
        "deployments": [_deployment(one) for _, one in sorted(defined.deployments.items())],
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
