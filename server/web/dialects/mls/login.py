"""Signing in as Machine Learning Server has it: our own access tokens and refresh tokens, by other names.

A refresh token is its own credential, so whoever shows one needs no other: the access token has mostly expired by then.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, SecretStr

from auth.audit import Actor, act_as
from auth.errors import NoRefreshTokens, Unauthenticated
from auth.login import Grant
from auth.routes.answers import NO_STORE
from auth.routes.closed import address_of, auth_of, request_id_of
from server.web.problems import ProblemError, problem

router = APIRouter(prefix="/login", include_in_schema=False)


class SignIn(BaseModel):
    """The name and the password of an account."""

    username: str
    password: SecretStr


class Renewal(BaseModel):
    """A refresh token, which is good once."""

    refreshToken: SecretStr


class Signed(BaseModel):
    """An access token with its end, and the refresh token that is the next one."""

    token_type: Literal["Bearer"] = "Bearer"
    access_token: str
    expires_in: int
    expires_on: str
    """Unix seconds as text, as the clients that check replies have it."""
    refresh_token: str | None = None


@router.post("", response_model_exclude_none=True)
async def sign_in(request: Request, response: Response, sent: SignIn) -> Signed:
    """Sign in by name and password, with the limits and the audit that `/auth/token` has."""
    login, password = auth_of(request).login, sent.password.get_secret_value()
    return await _signed(request, response, login.password(sent.username, password, address_of(request)))


@router.post("/refreshToken", response_model_exclude_none=True)
async def renew(request: Request, response: Response, sent: Renewal) -> Signed:
    """Stay signed in: the refresh token is spent, and the reply has the next one."""
    return await _signed(request, response, auth_of(request).login.refresh(sent.refreshToken.get_secret_value()))


@router.delete("/refreshToken")
async def sign_out(
    request: Request, response: Response, refresh_token: Annotated[str, Query(alias="refreshToken")]
) -> dict[str, Any]:
    """End the session of a refresh token. A token that is not known is no error."""
    _act(request)
    auth = auth_of(request)
    try:
        await auth.login.revoke(refresh_token)
    except NoRefreshTokens as refusal:
        raise ProblemError(problem("bad_request", refusal.text)) from refusal
    auth.authenticator.forget_if_changed()
    response.headers.update(NO_STORE)
    return {}


async def _signed(request: Request, response: Response, asked: Awaitable[Grant]) -> Signed:
    _act(request)
    try:
        grant = await asked
    except Unauthenticated as refusal:
        raise ProblemError(problem("unauthenticated", refusal.text)) from refusal
    except NoRefreshTokens as refusal:
        raise ProblemError(problem("bad_request", refusal.text)) from refusal
    response.headers.update(NO_STORE)
    return Signed(
        access_token=grant.access_token,
        expires_in=grant.expires_in_s,
        expires_on=str(int(auth_of(request).clock()) + grant.expires_in_s),
        refresh_token=grant.refresh_token,
    )


def _act(request: Request) -> None:
    """Have the audit know from where the sign-in comes."""
    act_as(Actor("", "password", address_of(request), request_id_of(request)))
