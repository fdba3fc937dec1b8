"""The model routes: what is served, in which state, and what each model takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from auth.principal import Principal
from auth.routes import require
from server.web import json_schema
from server.web.problems import ProblemError, problem
from server.web.scoring.serving import Serving
from server.wire.snapshot import Entry

router = APIRouter(prefix="/v1/models", tags=["models"])

Reader = Annotated[Principal, Depends(require("list"))]


class Version(BaseModel):
    """One version of a model. What only analysts may see is absent for others."""

    version: str
    state: Literal["loading", "ready", "failed"]
    current: bool = Field(description="Whether requests that name no version are answered by this one.")
    runtime: str
    remote: str | None = Field(None, description="The other server that has the model, where it is not here.")
    description: str = ""
    reason: str | None = Field(None, description="Why the file was refused (analysts).")
    code: str | None = Field(None, description="The kind of refusal.")
    file: str | None = Field(None, description="The file's name (analysts).")
    size_bytes: int | None = None
    model_class: str | None = None
    package: str | None = None
    package_version: str | None = None
    batched: bool | None = Field(None, description="Whether requests are joined into one predict call.")
    batch_reason: str | None = None
    isolated: str | None = Field(None, description="Why the model has a process of its own, where it must.")
    golden_rows: int | None = None
    load_warnings: list[str] | None = Field(None, description="What the library warned of, and what had to be assumed.")
    made_with: dict[str, Any] | None = Field(None, description="Versions of R and packages, as the sidecar has them.")
    load_seconds: float | None = None
    model_schema: dict[str, Any] | None = Field(None, serialization_alias="schema")


class Model(BaseModel):
    """A model with its versions; `state` is that of the current version, or of the newest file if none serves."""

    model: str
    state: Literal["loading", "ready", "failed"]
    version: str | None = Field(description="The current version.")
    versions: list[Version]
    name: str = Field(description="The same as `model`; clients of KServe read it.")
    ready: bool = Field(description="Whether a version answers requests; clients of KServe read it.")


@router.get("", response_model_exclude_none=True)
async def list_models(request: Request, principal: Reader) -> list[Model]:
    """All models, by name."""
    by_name: dict[str, list[Entry]] = {}
    for entry in _serving(request).snapshot.entries:
        if not principal.may("list", entry.name):
            continue
        by_name.setdefault(entry.name, []).append(entry)
    return [_model(name, entries, principal, whole=False) for name, entries in sorted(by_name.items())]


@router.get("/{model}", responses={404: {}}, response_model_exclude_none=True)
async def get_model(request: Request, model: str, principal: Reader) -> Model:
    """One model, with all that is known of it."""
    return _model(model, _entries(request, model, principal), principal, whole=True)


@router.get("/{model}/schema", responses={404: {}})
async def get_schema(request: Request, model: str, principal: Reader) -> dict[str, Any]:
    """The JSON Schema of the model's request bodies."""
    for entry in _entries(request, model, principal):
        if entry.current:
            return json_schema.request_schema(entry)
    raise ProblemError(problem("not_found"))


def _serving(request: Request) -> Serving:
    serving: Serving = request.app.state.serving
    return serving


def _entries(request: Request, model: str, principal: Principal) -> list[Entry]:
    entries = [e for e in _serving(request).snapshot.entries if e.name == model]
    if not entries or not principal.may("list", model):  # alike, so that nobody learns what others have
        raise ProblemError(problem("not_found"))
    return entries


def _model(name: str, entries: list[Entry], principal: Principal, whole: bool) -> Model:
    current = next((e for e in entries if e.current), None)
    shown = current or max(entries, key=lambda e: e.modified)
    versions = [_version(e, principal.may("details", name), whole) for e in entries]
    return Model(
        model=name,
        name=name,
        ready=current is not None,
        state=shown.state,
        version=current.version if current else None,
        versions=versions,
    )


def _version(entry: Entry, details: bool, whole: bool) -> Version:
    version = Version(
        version=entry.version,
        state=entry.state,
        current=entry.current,
        runtime=entry.runtime,
        remote=entry.remote or None,
        description=entry.description,
        code=entry.code,
    )
    if whole:
        version.model_schema = dict(entry.schema) if entry.schema else None
    if details:
        version.reason = entry.reason
        version.file = entry.file
        version.size_bytes = entry.size_bytes
        if entry.state == "ready":
            version.model_class = entry.model_class
            version.package = entry.package
            version.package_version = entry.package_version
            version.batched = entry.rowwise
            version.batch_reason = entry.batch_reason
            version.isolated = entry.isolated
            version.golden_rows = entry.golden_rows
            version.load_warnings = list(entry.load_warnings) or None
            version.made_with = dict(entry.made_with) if entry.made_with else None
            version.load_seconds = entry.load_seconds
    return version
