"""The endpoint routes: which endpoints there are, and which of their deployments answer."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from auth.principal import Principal
from auth.routes import require
from server.web.problems import ProblemError, problem
from server.wire.snapshot import DeploymentState, EndpointState, Snapshot

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])

Reader = Annotated[Principal, Depends(require("list"))]


class Deployment(BaseModel):
    """A model version behind an endpoint."""

    name: str
    model: str = Field(description="The model's name and version, as azureml:diabetes:3.")
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
    key_header: str = Field(description="The header whose value decides which deployment answers.")
    deployments: list[Deployment]
    description: str = ""
    tags: dict[str, str] = {}


@router.get("", response_model_exclude_none=True)
async def list_endpoints(request: Request, principal: Reader) -> list[Endpoint]:
    """All endpoints, by name."""
    snapshot = _snapshot(request)
    return [_endpoint(one, snapshot) for one in snapshot.endpoints if principal.may("list", one.name)]


@router.get("/{endpoint}", responses={404: {}}, response_model_exclude_none=True)
async def get_endpoint(request: Request, endpoint: str, principal: Reader) -> Endpoint:
    """One endpoint, with its deployments."""
    snapshot = _snapshot(request)
    for one in snapshot.endpoints:
        if one.name == endpoint and principal.may("list", endpoint):
            return _endpoint(one, snapshot)
    raise ProblemError(problem("not_found"))


def _snapshot(request: Request) -> Snapshot:
    snapshot: Snapshot = request.app.state.serving.snapshot
    return snapshot


def _endpoint(state: EndpointState, snapshot: Snapshot) -> Endpoint:
    return Endpoint(
        name=state.name,
        revision=state.revision,
        auth_mode=state.auth_mode,
        traffic=dict(state.traffic),
        key_header=state.key_header,
        deployments=[_deployment(one, state.traffic.get(one.name, 0), snapshot) for one in state.deployments],
        description=state.description,
        tags=dict(state.tags),
    )


def _deployment(state: DeploymentState, traffic: int, snapshot: Snapshot) -> Deployment:
    now, reason = _state_of(state, snapshot)
    return Deployment(
        name=state.name,
        model=f"azureml:{state.model}:{state.version}",
        traffic=traffic,
        state=now,
        reason=reason,
        request_timeout_ms=None if state.timeout_s is None else round(state.timeout_s * 1000),
        description=state.description,
        tags=dict(state.tags),
    )


def _state_of(state: DeploymentState, snapshot: Snapshot) -> tuple[Literal["ready", "loading", "failed"], str | None]:
    """Whether the model version can answer, and why not. What a refused file says is for whoever sees the model."""
    versions = [entry for entry in snapshot.entries if entry.name == state.model]
    for entry in versions:
        if entry.version != state.version:
            continue
        if entry.remote:
            return "failed", "Another server has the model; an endpoint has models of its own server."
        if entry.state != "ready":
            return entry.state, f"GET /v1/models/{state.model} has the reason."
        if not snapshot.pools[entry.pool].workers:
            return "loading", "No worker of the model is there at present."
        return "ready", None
    if not snapshot.complete:
        return "loading", "The models are being looked at."
    there = ", ".join(sorted(entry.version for entry in versions)) or "none"
    return "failed", f"There is no version {state.version} of the model {state.model}; there is {there}."
