"""Signing in, staying signed in, signing out, and who one is."""

from base64 import b64decode
from math import ceil
from typing import Annotated, Any, Literal
from urllib.parse import unquote_plus

from fastapi import Depends, Form, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from auth.audit import Actor, act_as
from auth.errors import NoRefreshTokens, Throttled, Unauthenticated
from auth.principal import PERMISSIONS, Kind, Permission, Principal
from auth.routes.answers import NO_STORE
from auth.routes.closed import address_of, auth_of, request_id_of, require, router

OAuthError = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unsupported_grant_type",
    "unsupported_token_type",
    "temporarily_unavailable",
]
Text = Annotated[str, Form()]


class OAuthRefusal(BaseModel):
    """A refusal in the form that OAuth2 clients expect (RFC 6749, 5.2)."""

    error: OAuthError
    error_description: str


_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": OAuthRefusal, "description": "RFC 6749, 5.2"},
    429: {"model": OAuthRefusal, "description": "Too many attempts."},
}


class TokenReply(BaseModel):
    """A grant (RFC 6749, 5.1)."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds.")
    refresh_token: str | None = Field(
        None, description="Good once: each refresh gives the next. Absent where servers share accounts: sign in again."
    )


class PrincipalReply(BaseModel):
    """Who you are, and what you may do at least somewhere."""

    name: str
    kind: Kind
    role: str
    groups: list[str]
    permissions: list[Permission]
    models: list[str] | None = Field(None, description="What the credential is narrowed to; absent for all models.")
    credential: str = Field(description="The kind of credential that was shown.")
    expires_at: float = Field(description="Unix seconds.")


@router.post("/token", responses=_REFUSALS, response_model=TokenReply, response_model_exclude_none=True)
async def token(
    request: Request,
    response: Response,
    grant_type: Text = "",
    username: Text = "",
    password: Text = "",
    refresh_token: Text = "",
    client_id: Text = "",
    client_secret: Text = "",
) -> TokenReply | JSONResponse:
    """Sign in (`grant_type=password`), stay signed in (`refresh_token`), or swap an API key (`client_credentials`).

    For a key, `client_secret` is the key and `client_id` its owner, in the form or by Basic. The token may do what the
    key may, and ends with it.
    """
    login = auth_of(request).login
    act_as(
        Actor(
            "", "key" if grant_type == "client_credentials" else "password", address_of(request), request_id_of(request)
        )
    )
    try:
        if grant_type == "password" and username and password:
            grant = await login.password(username, password, address_of(request))
        elif grant_type == "refresh_token" and refresh_token:
            grant = await login.refresh(refresh_token)
        elif grant_type == "client_credentials" and (client := _client(request, client_id, client_secret)):
            grant = await auth_of(request).exchange.token(*client, address_of(request))
        elif grant_type in ("", "password", "refresh_token", "client_credentials"):
            return _refusal(400, "invalid_request", "A form with grant_type and what belongs to it is needed.")
        else:
            return _refusal(
                400, "unsupported_grant_type", "grant_type is password, refresh_token or client_credentials."
            )
    except Unauthenticated as refusal:
        return _refusal(400, "invalid_client" if grant_type == "client_credentials" else "invalid_grant", refusal.text)
    except NoRefreshTokens as refusal:
        return _refusal(400, "unsupported_grant_type", refusal.text)
    except Throttled as refusal:
        return _busy(refusal)
    response.headers.update(NO_STORE)
    return TokenReply(access_token=grant.access_token, expires_in=grant.expires_in_s, refresh_token=grant.refresh_token)


@router.post("/revoke", responses=_REFUSALS, response_class=Response)
async def revoke(request: Request, token: Text = "") -> Response:
    """Sign out: end the session of a refresh token. A token that is not known is no error (RFC 7009)."""
    if not token:
        return _refusal(400, "invalid_request", "A form with the refresh token as token is needed.")
    auth = auth_of(request)
    try:
        await auth.login.revoke(token)
    except NoRefreshTokens as refusal:
        return _refusal(400, "unsupported_token_type", refusal.text)
    except Throttled as refusal:
        return _busy(refusal)
    auth.authenticator.forget_if_changed()
    return Response(headers=NO_STORE)


@router.get("/me", response_model_exclude_none=True)
async def me(principal: Annotated[Principal, Depends(require())]) -> PrincipalReply:
    """Who am I?"""
    narrowed = principal.narrowed
    return PrincipalReply(
        name=principal.name,
        kind=principal.kind,
        role=principal.role,
        groups=list(principal.groups),
        permissions=[permission for permission in PERMISSIONS if principal.may(permission)],
        models=None if narrowed is None or narrowed.unbounded else list(narrowed.targets),
        credential=principal.via,
        expires_at=principal.expires_at,
    )


def _client(request: Request, client_id: str, secret: str) -> tuple[str, str] | None:
    """The client's name and secret, from the form or from Basic (RFC 6749, 2.3.1); None for neither, or for both."""
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return (client_id, secret) if secret else None
    try:
        name, _, password = b64decode(sent, validate=True).decode().partition(":")
    except ValueError:
        return None
    return None if secret else (unquote_plus(name), unquote_plus(password))


def _refusal(status: int, error: OAuthError, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status, NO_STORE)


def _busy(refusal: Throttled) -> JSONResponse:
    reply = _refusal(429, "temporarily_unavailable", refusal.text)
    reply.headers["Retry-After"] = str(ceil(refusal.retry_after_s))
    return reply
