"""Sidecars: the YAML file beside a model file that says what the model file cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_BYTES = 1 << 20


class SidecarError(Exception):
    """A sidecar cannot be used; the text says which key is wrong and what is known."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StatedInput(_Strict):
    """An input stated or corrected: what is left out stays as the model says."""

    name: str
    type: Literal["numeric", "integer", "logical", "string", "factor", "ordered", "date", "datetime"] | None = None
    levels: list[str] | None = None
    na: bool | None = None
    tz: str | None = None
    new_level: Literal["refuse", "na"] | None = None
    missing: Literal["refuse", "na"] | None = None


class StatedOutput(_Strict):
    """An output stated: `levels` for labels, `columns` where there are several values a row."""

    name: str
    type: Literal["number", "integer", "logical", "string", "label", "columns"] = "number"
    levels: list[str] | None = None
    columns: list[str] | None = None


class StatedSchema(_Strict):
    """The model's inputs and outputs, and what becomes of a column that is no input."""

    inputs: list[StatedInput] = []
    outputs: list[StatedOutput] = []
    extra: Literal["ignore", "refuse"] = "ignore"


class MadeWith(_Strict):
    """The versions that an analyst had when the model was saved; told, not enforced."""

    r: str | None = None
    packages: dict[str, str] | None = None


class Sidecar(_Strict):
    """Everything a sidecar may say."""

    description: str = Field("", description="shown in /docs")
    packages: list[str] = Field([], description="packages whose namespaces are loaded before the model is read")
    arguments: dict[str, Any] = Field({}, description="further arguments of predict")
    inputs_and_outputs: StatedSchema = Field(
        StatedSchema(), alias="schema", description="states or corrects the schema"
    )
    golden: list[dict[str, Any]] = Field([], description="rows with their expected answers, checked at load")
    made_with: MadeWith = Field(MadeWith(), description="versions of R and packages with which the model was saved")
    max_rows: int | None = Field(None, ge=1, description="rows predicted in one call when requests are joined")
    timeout_s: float | None = Field(None, gt=0, le=3600, description="seconds until a request is answered 504")


def read(path: Path) -> Sidecar:
    """Read a sidecar; an absent file is an empty one. Raises SidecarError."""
    try:
        if path.exists() and not path.is_file():
            raise SidecarError("the sidecar is not a file")  # to open a pipe would hang
        data = path.read_bytes()
    except FileNotFoundError:
        return Sidecar()
    except OSError as e:
        raise SidecarError(f"the sidecar cannot be read: {e.strerror}") from e
    return parse(data)


def parse(data: bytes) -> Sidecar:
    """The sidecar in a file's bytes. Raises SidecarError."""
    if len(data) > MAX_BYTES:
        raise SidecarError("the sidecar is larger than 1 MiB")
    try:
        document = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as e:
        # A value that does not fit its tag ("2024-13-45", "!!int ''") is not always a YAMLError.
        where = getattr(e, "problem_mark", None)
        raise SidecarError("the sidecar is not YAML" + (f" (line {where.line + 1})" if where else "")) from e
    if document is None:
        return Sidecar()
    try:
        sidecar = Sidecar.model_validate(document)
        orjson.dumps(document)
    except ValidationError as e:
        raise SidecarError("; ".join(_told(error) for error in e.errors()[:5])) from e
    except TypeError as e:
        raise SidecarError(f"the sidecar says something that JSON cannot hold: {e}") from e
    return sidecar


def _told(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = ", ".join(f.alias or name for name, f in Sidecar.model_fields.items())
        return f"the sidecar has an unknown key '{where}'; known are {known}"
    return f"the sidecar's '{where}': {error['msg']}"
