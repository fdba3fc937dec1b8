"""The endpoint routes: which endpoints there are, which of their deployments answer, and how all that is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, Field

from auth.principal import Permission, Principal
from auth.routes import require
from auth.routes.closed import address_of, request_id_of
from server.web.problems import CODES, ProblemError, problem
from server.web.scoring.serving import Serving
from server.wire.control import Action, EndpointChange, EndpointChanged
from server.wire.snapshot import DeploymentState, EndpointState, Snapshot

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])

Reader = Annotated[Principal, Depends(require("list"))]
Publisher = Annotated[Principal, Depends(require("publish"))]
IfMatch = Annotated[str | None, Header(description="Revisions, as `ETag` has them: else nothing is changed.")]
IfNoneMatch = Annotated[str | None, Header(description="`*`: only if there is none of this name.")]
Definition = dict[str, Any]
"""An endpoint or a deployment with the keys of Azure's YAML."""
REFUSALS: dict[int | str, dict[str, Any]] = {code: {} for code in (404, 409, 412, 503)}


class Deployment(BaseModel):
    """A model version behind an endpoint."""

    name: str
    endpoint_name: str
    model: str = Field(description="The model's name and version, as azureml:diabetes:3.")
    serving: str | None = Field(None, description="The version before, which answers until this one can.")
    traffic: int = Field(description="The percentage of the endpoint's requests that it is to answer.")
    state: Literal["ready", "loading", "failed"] = Field(
        description="Whether it can answer. While it cannot, the others answer its requests."
    )
    reason: str | None = Field(None, description="Why it cannot, and what to do about it.")
    request_timeout_ms: int | None = None
    description: str = ""
    tags: dict[str, str] = {}


class Endpoint(BaseModel):
    """A stable name, with the deployments behind it."""

    name: str
    revision: str = Field(description="Another one with each change.")
    auth_mode: str
    traffic: dict[str, int] = Field(description="Percentages by deployment, as they are in force.")
    mirror_traffic: dict[str, int] = Field(description="The percentage of which a deployment gets copies.")
    key_header: str = Field(description="The header whose value decides which deployment answers.")
    deployments: list[Deployment]
    description: str = ""
    tags: dict[str, str] = {}
    scoring_uri: str = Field(description="Where requests go that are made as Azure's clients make them.")


class Changed(Endpoint):
    """An endpoint after a change."""

    provisioning_state: Literal["Succeeded", "Updating"] = Field(
        description="Updating: it is in force at this server, and another one that shares its accounts has not said so."
    )
    warnings: list[str] = Field(description="Keys that change nothing here, with the reason.")


@router.get("", response_model_exclude_none=True)
async def list_endpoints(request: Request, principal: Reader) -> list[Endpoint]:
    """All endpoints, by name."""
    snapshot = serving_of(request).snapshot
    return [_endpoint(one, snapshot, request) for one in snapshot.endpoints if principal.may("list", one.name)]


@router.get("/{endpoint}", responses={404: {}}, response_model_exclude_none=True)
async def get_endpoint(request: Request, response: Response, endpoint: str, principal: Reader) -> Endpoint:
    """One endpoint, with its deployments. `ETag` is its revision."""
    return _shown(request, response, endpoint, principal)


@router.put("/{endpoint}", responses=REFUSALS, response_model_exclude_none=True)
async def put_endpoint(
    request: Request,
    response: Response,
    endpoint: str,
    definition: Definition,
    principal: Publisher,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Changed:
    """Make an endpoint, or put this in its place; what it does not say of the traffic stays."""
    change = _change("put", endpoint, "", definition, if_match, if_none_match)
    return await _made(request, response, principal, change)


@router.patch("/{endpoint}", responses=REFUSALS, response_model_exclude_none=True)
async def patch_endpoint(
    request: Request,
    response: Response,
    endpoint: str,
    members: Definition,
    principal: Publisher,
    if_match: IfMatch = None,
) -> Changed:
    """Change these members alone, such as the traffic; a null takes one away."""
    change = _change("patch", endpoint, "", members, if_match)
    return await _made(request, response, principal, change)


@router.delete("/{endpoint}", responses=REFUSALS, status_code=204)
async def delete_endpoint(request: Request, endpoint: str, principal: Publisher, if_match: IfMatch = None) -> None:
    """Remove an endpoint with its deployments."""
    await ask(request, principal, _change("delete", endpoint, "", {}, if_match))


@router.get("/{endpoint}/deployments", responses={404: {}}, response_model_exclude_none=True)
async def list_deployments(request: Request, response: Response, endpoint: str, principal: Reader) -> list[Deployment]:
    """The deployments of an endpoint."""
    return _shown(request, response, endpoint, principal).deployments


@router.get("/{endpoint}/deployments/{deployment}", responses={404: {}}, response_model_exclude_none=True)
async def get_deployment(
    request: Request, response: Response, endpoint: str, deployment: str, principal: Reader
) -> Deployment:
    """One deployment. `ETag` is the revision of its endpoint."""
    for one in _shown(request, response, endpoint, principal).deployments:
        if one.name == deployment:
            return one
    raise ProblemError(problem("not_found"))


@router.put("/{endpoint}/deployments/{deployment}", responses=REFUSALS, response_model_exclude_none=True)
async def put_deployment(
    request: Request,
    response: Response,
    endpoint: str,
    deployment: str,
    definition: Definition,
    principal: Publisher,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Changed:
    """Make a deployment, or put this in its place. It gets traffic when the endpoint says so."""
    change = _change("put", endpoint, deployment, definition, if_match, if_none_match)
    return await _made(request, response, principal, change)


@router.patch("/{endpoint}/deployments/{deployment}", responses=REFUSALS, response_model_exclude_none=True)
async def patch_deployment(
    request: Request,
    response: Response,
    endpoint: str,
    deployment: str,
    members: Definition,
    principal: Publisher,
    if_match: IfMatch = None,
) -> Changed:
    """Change these members alone, such as the model; a null takes one away."""
    change = _change("patch", endpoint, deployment, members, if_match)
    return await _made(request, response, principal, change)


@router.delete("/{endpoint}/deployments/{deployment}", responses=REFUSALS, status_code=204)
async def delete_deployment(
    request: Request, endpoint: str, deployment: str, principal: Publisher, if_match: IfMatch = None
) -> None:
    """Remove a deployment that gets no traffic. Requests that it has been given are answered."""
    await ask(request, principal, _change("delete", endpoint, deployment, {}, if_match))


def _change(
    action: Action,
    endpoint: str,
    deployment: str,
    document: Definition,
    if_match: str | None,
    if_none_match: str | None = None,
) -> EndpointChange:
    revisions = None if if_match is None else tuple(part.strip().strip('"') for part in if_match.split(","))
    new = if_none_match is not None
    return EndpointChange(0, action, endpoint, deployment, document, revisions, new)


async def ask(request: Request, principal: Principal, change: EndpointChange) -> EndpointChanged:
    """Have a change made. Raises ProblemError where it was not."""
    _check_may(principal, "publish", change.endpoint)
    model = change.document.get("model") if change.deployment else None
    if isinstance(model, str) and not principal.may("score", model.removeprefix("azureml:").partition(":")[0]):
        raise ProblemError(
            problem("forbidden", "Nobody can put a model behind an endpoint that they may not ask themselves.")
        )
    via = f"{principal.via}:{principal.credential}"
    told = replace(change, who=principal.name, via=via, address=address_of(request), request_id=request_id_of(request))
    try:
        answer = await serving_of(request).change(told)
    except TypeError as e:  # half of a surrogate pair, or an integer of too many digits
        raise ProblemError(
            problem("bad_definition", "It has a text that is no Unicode, or a number of too many digits.")
        ) from e
    if answer is None:
        raise ProblemError(problem("store_unavailable"))
    for code in CODES:
        if code == answer.code:
            raise ProblemError(problem(code, answer.detail or None))
    return answer


async def _made(request: Request, response: Response, principal: Principal, change: EndpointChange) -> Changed:
    answer = await ask(request, principal, change)
    shown = _shown(request, response, change.endpoint, principal)
    state: Literal["Succeeded", "Updating"] = "Succeeded" if answer.settled else "Updating"
    return Changed(**dict(shown), provisioning_state=state, warnings=list(answer.warnings))


def _shown(request: Request, response: Response, endpoint: str, principal: Principal) -> Endpoint:
    state = found(request, endpoint, principal, "list")
    response.headers["etag"] = f'"{state.revision}"'
    return _endpoint(state, serving_of(request).snapshot, request)


def found(request: Request, endpoint: str, principal: Principal, permission: Permission) -> EndpointState:
    """The endpoint of this name as it is in force. Raises ProblemError where there is none for this principal."""
    _check_may(principal, permission, endpoint)
    for one in serving_of(request).snapshot.endpoints:
        if one.name == endpoint:
            return one
    raise ProblemError(problem("not_found"))


def _check_may(principal: Principal, permission: Permission, endpoint: str) -> None:
    """Raise ProblemError for whoever may not; alike, whether there is such an endpoint that they may not even see."""
    if not principal.may(permission, endpoint):
        raise ProblemError(problem("forbidden" if principal.may("list", endpoint) else "not_found"))


def serving_of(request: Request) -> Serving:
    """What this process serves."""
    serving: Serving = request.app.state.serving
    return serving


def _endpoint(state: EndpointState, snapshot: Snapshot, request: Request) -> Endpoint:
    return Endpoint(
        scoring_uri=_address(state.name, request),
        name=state.name,
        revision=state.revision,
        auth_mode=state.auth_mode,
        traffic=dict(state.traffic),
        mirror_traffic=dict(state.mirror_traffic),
        key_header=state.key_header,
        deployments=[_deployment(state, one, snapshot) for one in state.deployments],
        description=state.description,
        tags=dict(state.tags),
    )


def _deployment(of: EndpointState, state: DeploymentState, snapshot: Snapshot) -> Deployment:
    serving = state.model, state.version
    wanted = state.coming or serving
    now, reason = _state_of(*wanted, snapshot)
    return Deployment(
        name=state.name,
        endpoint_name=of.name,
        model=_named(*wanted),
        serving=_named(*serving) if state.coming else None,
        traffic=of.traffic.get(state.name, 0),
        state=now,
        reason=reason,
        request_timeout_ms=None if state.timeout_s is None else round(state.timeout_s * 1000),
        description=state.description,
        tags=dict(state.tags),
    )


def _address(endpoint: str, request: Request) -> str:
    domain = request.app.state.settings.endpoint_domain
    return f"https://{endpoint}.{domain}/score" if domain else f"{request.base_url}endpoints/{endpoint}/score"


def _named(model: str, version: str) -> str:
    return f"azureml:{model}:{version}"


def _state_of(model: str, version: str, snapshot: Snapshot) -> tuple[Literal["ready", "loading", "failed"], str | None]:
    """Whether the model version can answer, and why not. What a refused file says is for whoever sees the model."""
    versions = [entry for entry in snapshot.entries if entry.name == model]
    for entry in versions:
        if entry.version != version:
            continue
        if entry.remote:
            return "failed", "Another server has the model; an endpoint has models of its own server."
        if entry.state != "ready":
            return entry.state, f"GET /v1/models/{model} has the reason."
        if not snapshot.pools[entry.pool].workers:
            return "loading", "No worker of the model is there at present."
        return "ready", None
    if not snapshot.complete:
        return "loading", "The models are being looked at."
    there = ", ".join(sorted(entry.version for entry in versions)) or "none"
    return "failed", f"There is no version {version} of the model {model}; there is {there}."
