"""Endpoints that are kept as documents: what becomes of them when one is put, changed or removed, and what forbids it.

Pure. A document has the keys of a YAML file. Those of one endpoint are kept together, by the deployment's name; the
endpoint's own has none. Must not know where they are kept, or who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.endpoints import azure_yaml
from server.endpoints.definition import BadDefinition, Deployment, Endpoint, Refusal, check_traffic
from server.endpoints.folder import Defined
from server.endpoints.state import state_of
from server.endpoints.yaml_text import Document
from server.wire.control import EndpointChange

OWN = ""
"""In the place of a deployment's name: the endpoint itself."""
ANY = "*"

Documents = Mapping[str, Mapping[str, Any]]


def defined(name: str, documents: Documents) -> Defined:
    """What the documents of an endpoint say. Raises BadDefinition."""
    endpoint, deployments = None, {}
    for of, data in documents.items():
        definition = _read(of, data).definition
        match definition:
            case Endpoint():
                endpoint = definition
            case Deployment():
                deployments[of] = definition
    if endpoint is None:
        raise BadDefinition("bad_definition", f"endpoint '{name}': it has deployments and no definition of its own")
    check_traffic(endpoint, deployments)
    return Defined(endpoint, deployments)


def warnings(documents: Documents, of: str) -> tuple[str, ...]:
    """What is passed over in one document."""
    return _read(of, documents[of]).warnings if of in documents else ()


def _read(of: str, data: Mapping[str, Any]) -> azure_yaml.Read:
    where = f"deployment '{of}'" if of else f"endpoint '{data.get('name')}'"
    return azure_yaml.of(Document(where, data, {}), is_deployment=bool(of))


SHARES = ("traffic", "mirror_traffic")
KEPT = (*SHARES, "key_generations")
"""What an endpoint keeps when another definition is put in its place that does not say it."""


def changed(documents: Documents, change: EndpointChange, now: int | None = None) -> dict[str, Mapping[str, Any]]:
    """The documents of an endpoint after a change; none where it is gone. Raises BadDefinition and Refusal.

    `now` is the time in unix seconds. The keys of an endpoint that comes begin with it, so that those of an earlier
    endpoint of the same name do not open this one.
    """
    of, what = change.deployment, _what(change)
    _check_revision(documents, change)
    if of and OWN not in documents:
        raise Refusal("not_found", f"There is no endpoint '{change.endpoint}'.")
    if change.new and of in documents:
        raise Refusal("precondition_failed", f"There is {what} already; update it.")
    if change.action != "put" and of not in documents:
        raise Refusal("not_found", f"There is no {what.removeprefix('the ')}.")
    after = dict(documents)
    match change.action:
        case "put":
            kept = {} if of else {key: value for key, value in documents.get(OWN, {}).items() if key in KEPT}
            if not of and not documents and now is not None:
                kept["key_generations"] = {"primary": now, "secondary": now}
            after[of] = _named(change, kept | dict(change.document))
        case "patch":
            merged = {**documents[of], **change.document}
            after[of] = _named(change, {key: value for key, value in merged.items() if value is not None})
        case "delete" if of:
            after[OWN] = _without_traffic(documents[OWN], of)
            del after[of]
        case "delete":
            return {}
    defined(change.endpoint, after)
    return after


def _named(change: EndpointChange, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the names of the address, which those that it says itself must not contradict."""
    names = {"name": change.deployment, "endpoint_name": change.endpoint}
    if not change.deployment:
        names = {"name": change.endpoint}
    for key, name in names.items():
        if document.get(key, name) != name:
            raise BadDefinition("bad_definition", f"'{key}' is {document[key]!r}, and the address says '{name}'", key)
    return names | dict(document)


def _without_traffic(document: Mapping[str, Any], deployment: str) -> Mapping[str, Any]:
    after = dict(document)
    for key in SHARES:
        shares = dict(document.get(key) or {})
        if shares.pop(deployment, 0):
            raise Refusal("has_traffic", f"The deployment '{deployment}' has {key}; give it to another one first.")
        if key in document:
            after[key] = shares
    return after


def _check_revision(documents: Documents, change: EndpointChange) -> None:
    if change.revisions is None:
        return
    now = state_of(defined(change.endpoint, documents)).revision if documents else ""
    if not documents or (ANY not in change.revisions and now not in change.revisions):
        told = f"it is at revision {now}" if documents else "it is gone"
        text = f"The endpoint '{change.endpoint}' was changed since you looked: {told}. Look again, then decide."
        raise Refusal("precondition_failed", text)


def _what(change: EndpointChange) -> str:
    if change.deployment:
        return f"the deployment '{change.deployment}' of '{change.endpoint}'"
    return f"the endpoint '{change.endpoint}'"
