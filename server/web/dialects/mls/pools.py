"""What the workers of a service are at, and how the server is: Machine Learning Server's pools and status."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Request

from auth.principal import Principal
from auth.routes import require
from server.totals import counted
from server.web.dialects.mls.services import found_service
from server.web.prefix import address
from server.web.problems import ProblemError, problem
from server.wire.snapshot import Entry, PoolState, RemoteState, Snapshot

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require("list"))]


class Usage(Protocol):
    """What the workers of a model are at."""

    @property
    def workers(self) -> int:
        """How many there are."""

    @property
    def busy(self) -> int:
        """How many of them have a call."""

    @property
    def waiting(self) -> int:
        """Requests for the model that wait for one."""


class Catalog(Protocol):
    """What is served at the moment."""

    snapshot: Snapshot

    def not_ready(self) -> dict[str, str]:
        """Why this process cannot serve, by pool; empty when it can."""

    def usage(self, entry: Entry) -> Usage | None:
        """What a model's workers are at; None where another server has the model."""


@router.get("/services/{model}/{version}/pool")
def pool(request: Request, asking: Reader, model: str, version: str) -> list[dict[str, Any]]:
    """Who answers for a service, and what its workers are at. Of another server only its name here is told."""
    entry = found_service(request, asking, model, version)
    catalog = _catalog(request)
    counts = counted().get(entry.name, {})
    done = {"AnsweredRequests": int(counts.get("ok", 0)), "FailedRequests": int(counts.get("failed", 0))}
    used = catalog.usage(entry)
    if used is None:
        remote = catalog.snapshot.remotes.get(entry.remote)
        up = remote is not None and _is_up(remote)
        return [{"ComputeNodeEndpoint": entry.remote, "Status": "Success" if up else "Pending"} | done]
    live = {"Workers": used.workers, "BusyWorkers": used.busy, "WaitingRequests": used.waiting}
    done["PredictMilliseconds"] = int(counts.get("predict", 0.0) * 1000)
    status = "Success" if used.workers else "Pending"
    return [{"ComputeNodeEndpoint": address(request), "Status": status} | live | done]


@router.post("/services/{model}/{version}/pool")
@router.delete("/services/{model}/{version}/pool")
async def not_done(_: Reader) -> None:
    """Refuse: how many workers there are is a setting."""
    raise ProblemError(
        problem("not_implemented", "The number of workers is a setting of this server, not of a service.")
    )


@router.get("/status")
async def status(request: Request, asking: Reader) -> dict[str, Any]:
    """Whether everything that is to serve does. Why it does not is for those who may see details."""
    catalog = _catalog(request)
    details = asking.may("details", "*")
    reasons = catalog.not_ready()
    snapshot = catalog.snapshot
    pools = {name: _component(reasons.get(name, ""), _of_pool(pool), details) for name, pool in snapshot.pools.items()}
    remotes = {name: _component(_why_down(remote), {}, details) for name, remote in snapshot.remotes.items()}
    whole = "fail" if reasons else "warn" if any(one["statusCode"] != "pass" for one in remotes.values()) else "pass"
    others = {name: reason for name, reason in reasons.items() if name not in pools}
    return {"statusCode": whole, "components": pools | remotes, "details": others if details else {}}


def _component(reason: str, about: dict[str, Any], details: bool) -> dict[str, Any]:
    told = about | ({"reason": reason} if reason else {})
    return {"statusCode": "fail" if reason else "pass", "details": told if details else {}}


def _of_pool(pool: PoolState) -> dict[str, Any]:
    return {"workers": len(pool.workers)}


def _is_up(remote: RemoteState) -> bool:
    return remote.heard and remote.reason is None


def _why_down(remote: RemoteState) -> str:
    if _is_up(remote):
        return ""
    return "it does not tell of its models at present" if remote.heard else "it has not told of its models yet"


def _catalog(request: Request) -> Catalog:
    catalog: Catalog = request.app.state.serving
    return catalog
