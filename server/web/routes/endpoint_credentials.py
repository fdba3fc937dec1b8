"""The credentials of endpoints: keys that can be shown again and replaced, and tokens that end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from auth.api_keys import Slot
from auth.audit import Act
from auth.principal import OF_KEY, Principal
from auth.routes import require
from auth.routes.closed import auth_of
from server.web.problems import ProblemError, problem
from server.web.routes.endpoints import REFUSALS, Publisher, ask, found
from server.wire.control import EndpointChange
from server.wire.snapshot import EndpointState

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])

Caller = Annotated[Principal, Depends(require("score"))]
REFRESH_AFTER = 0.75
"""The share of a token's life after which another one is to be had."""


class Keys(BaseModel):
    """Both keys of an endpoint, as Azure's clients know them."""

    model_config = ConfigDict(alias_generator=to_camel)

    primary_key: str
    secondary_key: str


class Token(BaseModel):
    """A token that is good at one endpoint alone, as Azure's clients know it."""

    model_config = ConfigDict(alias_generator=to_camel)

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expiry_time_utc: datetime = Field(description="When it ends.")
    refresh_after_time_utc: datetime = Field(description="When it is time to ask for the next one.")


@router.get("/{endpoint}/keys", responses=REFUSALS)
async def get_keys(request: Request, response: Response, endpoint: str, principal: Publisher) -> Keys:
    """The keys of an endpoint whose `auth_mode` is `key`. That they were shown is a row of the audit."""
    shown = _keys(request, found(request, endpoint, principal, "publish"))
    await _record(request, Act("endpoint.keys_shown", endpoint))
    response.headers["cache-control"] = "no-store"
    return shown


@router.post("/{endpoint}/keys/{slot}", responses=REFUSALS)
async def regenerate_key(request: Request, response: Response, endpoint: str, slot: Slot, principal: Publisher) -> Keys:
    """Put another key in the place of one; the one before is refused at once, at all servers."""
    state = found(request, endpoint, principal, "publish")
    _keys(request, state)
    later = max(state.key_generations.get(slot, 1) + 1, int(time.time()))
    document = {"key_generations": {**state.key_generations, slot: later}}
    await ask(request, principal, EndpointChange(0, "patch", endpoint, "", document, (state.revision,)))
    response.headers["cache-control"] = "no-store"
    return _keys(request, found(request, endpoint, principal, "publish"))


@router.post("/{endpoint}/token", responses=REFUSALS)
async def get_token(request: Request, response: Response, endpoint: str, principal: Caller) -> Token:
    """A token of an hour for an endpoint whose `auth_mode` is `aml_token`."""
    state = found(request, endpoint, principal, "score")
    if state.auth_mode != "aml_token":
        raise _other_mode(state, "POST …/token is for aml_token")
    auth, holder = auth_of(request), None
    texts = auth.endpoint_keys.texts(endpoint, state.key_generations)
    if texts is not None:
        holder = auth.endpoint_keys.of_id(texts["primary"].id)
    if holder is None:
        raise _no_secret()
    await _record(request, Act("token.issued", endpoint))
    now = auth.clock()
    token = auth.tokens.issue(holder.name, holder.role, OF_KEY + holder.credential, now)
    response.headers["cache-control"] = "no-store"
    ends, renewed = (datetime.fromtimestamp(now + auth.tokens.lifetime_s * share, UTC) for share in (1, REFRESH_AFTER))
    return Token(accessToken=token, expiryTimeUtc=ends, refreshAfterTimeUtc=renewed)


def _keys(request: Request, state: EndpointState) -> Keys:
    if state.auth_mode != "key":
        raise _other_mode(state, "keys are for the mode key")
    texts = auth_of(request).endpoint_keys.texts(state.name, state.key_generations)
    if texts is None:
        raise _no_secret()
    return Keys(primaryKey=texts["primary"].text, secondaryKey=texts["secondary"].text)


async def _record(request: Request, act: Act) -> None:
    auth = auth_of(request)
    await auth.login.writing.run(auth.accounts.audit.write, act, auth.clock())


def _other_mode(state: EndpointState, what: str) -> ProblemError:
    return ProblemError(problem("conflict", f"The auth_mode of this endpoint is {state.auth_mode}; {what}."))


def _no_secret() -> ProblemError:
    return ProblemError(
        problem("conflict", "Servers that share accounts have keys of endpoints where TANDEM_ENDPOINT_KEY is set.")
    )
