"""The routes of the Open Inference Protocol beside scoring: health, metadata, statistics and the repository."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import orjson
from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException

from auth.principal import Principal
from auth.routes import require
from server import __version__
from server.totals import counted
from server.web.dialects.open_inference_metadata import config, metadata
from server.web.problems import ProblemError, problem
from server.wire.snapshot import Entry, Snapshot

router = APIRouter(prefix="/v2", include_in_schema=False)

Reader = Annotated[Principal, Depends(require("list"))]
EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
STATES = {"ready": "READY", "loading": "LOADING", "failed": "UNAVAILABLE"}


class Catalog(Protocol):
    """The models that are served at the moment."""

    snapshot: Snapshot

    def not_ready(self) -> dict[str, str]:
        """Why this process cannot serve, by pool; empty when it can."""


@router.get("")
@router.get("/")
async def server(_: Reader) -> dict[str, Any]:
    """The server's name, its version, and what of the protocol's extensions it speaks."""
    return {"name": "tandem", "version": __version__, "extensions": EXTENSIONS}


@router.get("/health/live")
async def live() -> dict[str, bool]:
    """Whether the process answers at all."""
    return {"live": True}


@router.get("/health/ready")
async def ready(request: Request, response: Response) -> dict[str, bool]:
    """Whether every pool that has models has a worker."""
    serves = not _catalog(request).not_ready()
    response.status_code = 200 if serves else 503
    return {"ready": serves, "live": True}


@router.get("/models/stats")
def all_statistics(request: Request, asking: Reader) -> dict[str, Any]:
    """What was counted of every model."""
    entries = [e for e in _catalog(request).snapshot.entries if e.current and asking.may("list", e.name)]
    return _statistics(sorted(entries, key=lambda entry: entry.name))


@router.get("/models/{model}")
@router.get("/models/{model}/versions/{version}")
async def about(request: Request, asking: Reader, model: str, version: str | None = None) -> dict[str, Any]:
    """What a model takes and gives."""
    entry = _served(request, asking, model, version)
    versions = [e.version for e in _catalog(request).snapshot.entries if e.name == model and e.state == "ready"]
    return metadata(entry, versions)


@router.get("/models/{model}/ready")
@router.get("/models/{model}/versions/{version}/ready")
async def model_ready(
    request: Request, response: Response, asking: Reader, model: str, version: str | None = None
) -> dict[str, Any]:
    """Whether a model is served."""
    found = _versions(request, asking, model, version)
    serves = any(entry.state == "ready" and (version is not None or entry.current) for entry in found)
    response.status_code = 200 if serves else 503
    return {"name": model, "ready": serves}


@router.get("/models/{model}/config")
@router.get("/models/{model}/versions/{version}/config")
async def configuration(request: Request, asking: Reader, model: str, version: str | None = None) -> dict[str, Any]:
    """A model's configuration, as Triton writes it."""
    return config(_served(request, asking, model, version))


@router.get("/models/{model}/stats")
@router.get("/models/{model}/versions/{version}/stats")
def statistics(request: Request, asking: Reader, model: str, version: str | None = None) -> dict[str, Any]:
    """What was counted of a model."""
    return _statistics([_served(request, asking, model, version)])


@router.post("/repository/index")
async def index(request: Request, asking: Reader) -> list[dict[str, str]]:
    """The versions that there are, or with `{"ready": true}` those that are served."""
    body = await request.body()
    try:
        wanted = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        wanted = None
    if type(wanted) is not dict:
        raise ProblemError(problem("bad_body", 'The body is empty or {"ready": true}.'))
    return [
        {"name": e.name, "version": e.version, "state": STATES[e.state], "reason": _reason(e, asking)}
        for e in _catalog(request).snapshot.entries
        if asking.may("list", e.name) and (e.state == "ready" or not wanted.get("ready"))
    ]


@router.post("/repository/models/{model}/load")
async def load(request: Request, asking: Reader, model: str) -> dict[str, Any]:
    """Whether a model is served; what is in the folder decides that, so nothing is loaded here."""
    found = _versions(request, asking, model, None)
    if any(entry.state == "ready" for entry in found):
        return {}
    reason = next((told for entry in found if (told := _reason(entry, asking))), "it is not ready yet")
    raise ProblemError(problem("bad_request", f'"{model}" is not served: {reason}'))


@router.post("/repository/models/{model}/unload")
async def unload(request: Request, asking: Reader, model: str) -> dict[str, Any]:
    """Refuse: a model is served as long as its file is in the folder."""
    _versions(request, asking, model, None)
    raise ProblemError(
        problem("bad_request", "The model folder decides what is served: take the model's file out of it.")
    )


def _catalog(request: Request) -> Catalog:
    catalog: Catalog = request.app.state.serving
    return catalog


def _versions(request: Request, asking: Principal, model: str, version: str | None) -> list[Entry]:
    """The versions that are asked for. For a caller who may not see a model it does not exist."""
    found = [e for e in _catalog(request).snapshot.entries if e.name == model and version in (None, e.version)]
    if not found or not asking.may("list", model):
        raise HTTPException(404)
    return found


def _served(request: Request, asking: Principal, model: str, version: str | None) -> Entry:
    found = _versions(request, asking, model, version)
    for entry in found:
        if entry.state == "ready" and (version is not None or entry.current):
            return entry
    raise HTTPException(404)


def _reason(entry: Entry, asking: Principal) -> str:
    if entry.state != "failed":
        return ""
    return (entry.reason or "") if asking.may("details", entry.name) else (entry.code or "")


def _statistics(entries: list[Entry]) -> dict[str, Any]:
    counts = counted()
    return {"model_stats": [_of_model(entry, counts.get(entry.name, {})) for entry in entries]}


def _of_model(entry: Entry, counts: dict[str, float]) -> dict[str, Any]:
    """Counts of all versions of a model since the server started, with the times of the stages of its requests."""
    answered = int(counts.get("ok", 0))

    def stage(name: str) -> dict[str, int]:
        return {"count": answered, "ns": int(counts.get(name, 0.0) * 1e9)}

    whole = {"count": answered, "ns": sum(stage(name)["ns"] for name in ("queue", "decode", "predict", "encode"))}
    return {
        "name": entry.name,
        "version": entry.version,
        "inference_count": int(counts.get("rows", 0)),
        "execution_count": int(counts.get("batches", 0)),
        "inference_stats": {
            "success": whole,
            "fail": {"count": int(counts.get("failed", 0)), "ns": 0},
            "queue": stage("queue"),
            "compute_input": stage("decode"),
            "compute_infer": stage("predict"),
            "compute_output": stage("encode"),
        },
        "batch_stats": [],
    }
