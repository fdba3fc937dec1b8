"""What `/openapi.json?dialects=true` adds: where each model is asked in the dialects of other servers' clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from server.web.dialects.dialect import Dialect, Dialects
from server.wire.snapshot import Entry


def paths(entries: Iterable[Entry], dialects: Dialects) -> dict[str, Any]:
    """The paths at which these versions are asked beside the native one. A current version is asked by its model's."""
    found: dict[str, Any] = {}
    for entry in entries:
        mounts = [mount for mount in dialects.mounts(entry) if mount[2].name != "native"]
        by_model = {dialect.name for _, pinned, dialect in mounts if not pinned}
        for path, pinned, dialect in mounts:
            if not (pinned and dialect.name in by_model):
                found[path] = {"post": _operation(entry, dialect)}
    return found


def _operation(entry: Entry, dialect: Dialect) -> dict[str, Any]:
    about = "The body and the reply have the form that this dialect's clients write and read."
    return {
        "tags": [dialect.name],
        "summary": f"Score {entry.name}" + ("" if entry.current else f", version {entry.version}"),
        "description": f"{about} The answers are those of the native route.",
        "security": [{"OAuth2PasswordBearer": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
        "responses": {
            "200": {"description": "Predictions, in row order.", "content": {"application/json": {"schema": {}}}},
            "default": {"description": "What went wrong, in the form of this dialect."},
        },
    }
