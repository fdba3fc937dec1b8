"""What an endpoint and a deployment are, and the rules that they keep.

Owns the nouns, which are Azure's, and what makes a definition wrong. Must not know where definitions are kept, which
models there are, or who asks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from server.wire.collect import Collect

AuthMode = Literal["key", "aml_token", "aad_token"]
"""How callers prove who they are, in Azure's words: keys, tokens that end, tokens of an identity provider."""
AUTH_MODES: tuple[AuthMode, ...] = get_args(AuthMode)
Fault = Literal["bad_definition", "bad_traffic", "unsupported_field"]

NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
"""The name of an endpoint or a deployment. It may become a part of a domain name."""
KEY_HEADER = "x-tandem-key"
"""The header whose value decides which deployment answers, where the endpoint names no other."""
MOST_MIRRORED = 50
"""Of a hundred requests so many may be copied, as Azure has it."""
_PREFIX = "azureml:"
_MODEL = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*):(?P<version>[A-Za-z0-9][A-Za-z0-9._-]*)")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")


class BadDefinition(Exception):
    """A definition cannot be used. The text says which rule is broken and what to do about it."""

    def __init__(self, code: Fault, text: str, key: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.key = key
        """The member that is wrong, by its dotted name; empty where it is the whole."""


class Refusal(Exception):
    """A change cannot be made as things are. The text says what to do."""

    def __init__(self, code: Literal["not_found", "has_traffic", "precondition_failed"], text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model and one of its versions, by their names."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model version behind an endpoint."""

    name: str
    endpoint: str
    model: ModelRef
    timeout_s: float | None = None
    """How long a request may take, in seconds; None where the model and the server decide alone."""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    collect: Collect | None = None
    """What is recorded of its requests; None where the model's sidecar decides."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A stable name, and the percentages by which its deployments answer."""

    name: str
    auth_mode: AuthMode = "key"
    traffic: Mapping[str, int] = field(default_factory=dict)
    mirror_traffic: Mapping[str, int] = field(default_factory=dict)
    """The percentage of requests of which one deployment gets copies, whose answers nobody gets."""
    key_header: str = KEY_HEADER
    """The header by whose value requests are assigned, in small letters. Equal values stay together."""
    key_generations: Mapping[str, int] = field(default_factory=dict)
    """Numbers by the slots of keys, primary and secondary: a higher one is another key."""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def name_of(value: Any, key: str) -> str:
    """The name of an endpoint or a deployment. Raises BadDefinition."""
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    told = "is not there" if value is None else f"is {value!r}"
    raise BadDefinition(
        "bad_definition",
        f"'{key}' {told}; a name has 1 to 32 letters, digits and hyphens, begins with a letter and ends with no hyphen",
        key,
    )


def model_of(value: Any, key: str = "model") -> ModelRef:
    """The model version that a text such as `azureml:diabetes:3` names. Raises BadDefinition."""
    found = _MODEL.fullmatch(value.removeprefix(_PREFIX)) if isinstance(value, str) else None
    if found is None:
        raise BadDefinition(
            "bad_definition",
            f"'{key}' is {value!r}; name a model and its version, as azureml:diabetes:3",
            key,
        )
    return ModelRef(found["name"], found["version"])


def header_of(value: Any, key: str) -> str:
    """The name of a header, in small letters. Raises BadDefinition."""
    if isinstance(value, str) and _HEADER.fullmatch(value):
        return value.lower()
    raise BadDefinition("bad_definition", f"'{key}' is {value!r}; it is the name of a header, as X-Customer", key)


def check_traffic(endpoint: Endpoint, deployments: Collection[str]) -> None:
    """Refuse percentages that break a rule, or that name no deployment. Raises BadDefinition."""
    for name, weight in endpoint.traffic.items():
        if type(weight) is not int or not 0 <= weight <= 100:
            raise _bad(f"'{name}' is {weight!r}; a percentage is a whole number from 0 to 100")
        if name not in deployments:
            known = ", ".join(sorted(deployments)) or "none"
            raise _bad(f"there is no deployment '{name}'; there is {known}")
    _check_mirror(endpoint, deployments)
    total = sum(endpoint.traffic.values())
    if total not in (0, 100):
        raise _bad(f"the percentages add up to {total}; they add up to 100, or to 0 where nothing is answered")


def _check_mirror(endpoint: Endpoint, deployments: Collection[str]) -> None:
    key = "mirror_traffic"
    shares = {name: share for name, share in endpoint.mirror_traffic.items() if share != 0}
    for name, share in endpoint.mirror_traffic.items():
        if type(share) is not int or not 0 <= share <= MOST_MIRRORED:
            raise _bad(
                f"'{name}' is {share!r}; a percentage to mirror is a whole number from 0 to {MOST_MIRRORED}", key
            )
        if name not in deployments:
            raise _bad(f"there is no deployment '{name}'; there is {', '.join(sorted(deployments)) or 'none'}", key)
        if share and endpoint.traffic.get(name):
            raise _bad(f"'{name}' has traffic of its own; a deployment is live or mirrored", key)
    if len(shares) > 1:
        raise _bad(f"{', '.join(sorted(shares))} are mirrored; one deployment of an endpoint may be", key)


def _bad(text: str, key: str = "traffic") -> BadDefinition:
    return BadDefinition("bad_traffic", f"'{key}': {text}", key)
