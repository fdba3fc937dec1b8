"""The /auth routes and the dependency that closes every other route.

Owns what they look like over HTTP. The only file that imports fastapi. It raises the errors of `errors.py`, which the
web layer turns into problem documents; only `/auth/token` and `/auth/revoke` answer for themselves, in the form that
OAuth2 clients expect (RFC 6749, 5.2). They are also the only open routes. The application carries an `Auth` as
`app.state.auth`.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from auth.errors import AccountError, AccountProblem, Forbidden, NoRefreshTokens, Throttled, Unauthenticated
from auth.principal import Permission, Principal, Role
from auth.setup import Auth
from auth.store import Account

_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_STATUS: Final[dict[AccountProblem, int]] = {
    "bad_name": 422,
    "bad_password": 422,
    "exists": 409,
    "unknown": 404,
    "last_admin": 409,
    "in_file": 409,
}

# Only so that the docs page shows its Authorize button: the header is read by the authenticator.
_scheme = OAuth2PasswordBearer(tokenUrl="/auth/token", auto_error=False)

OAuthError = Literal[
    "invalid_request", "invalid_grant", "unsupported_grant_type", "unsupported_token_type", "temporarily_unavailable"
]
Text = Annotated[str, Form()]

router = APIRouter(prefix="/auth", tags=["auth"])


class TokenReply(BaseModel):
    """A grant (RFC 6749, 5.1)."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds.")
    refresh_token: str | None = Field(
        None, description="Good once: each refresh gives the next. Absent where servers share accounts: sign in again."
    )


class PrincipalReply(BaseModel):
    """Who you are."""

    name: str
    role: str
    expires_at: float = Field(description="Unix seconds.")


class AccountReply(BaseModel):
    """An account."""

    name: str
    role: str
    created_at: float | None = Field(None, description="Unix seconds. Absent where the accounts are kept in a file.")


class NewPassword(BaseModel):
    """A password to set."""

    model_config = ConfigDict(extra="forbid")

    password: SecretStr = Field(description="8 to 1024 characters.")


class NewAccount(NewPassword):
    """An account to create."""

    name: str = Field(description="1 to 64 of A-Z a-z 0-9 . _ @ - beginning with a letter or a digit.")
    role: Role


def require(permission: Permission | None = None) -> Callable[..., Awaitable[Principal]]:
    """A dependency that gives the principal, and refuses one who lacks `permission`."""

    async def principal(request: Request, _: Annotated[str | None, Depends(_scheme)]) -> Principal:
        address = request.client.host if request.client else ""
        asking = await _auth(request).authenticator.authenticate(dict(request.headers.raw), address)
        request.state.principal = asking
        if permission is not None and not asking.may(permission):
            raise Forbidden(permission)
        return asking

    return principal


_ADMIN: Final = [Depends(require("accounts"))]


@router.post("/token", response_model=TokenReply, response_model_exclude_none=True)
async def token(
    request: Request,
    response: Response,
    grant_type: Text = "",
    username: Text = "",
    password: Text = "",
    refresh_token: Text = "",
) -> TokenReply | JSONResponse:
    """Sign in (`grant_type=password`) or stay signed in (`grant_type=refresh_token`)."""
    login = _auth(request).login
    try:
        if grant_type == "password" and username and password:
            grant = await login.password(username, password, request.client.host if request.client else "")
        elif grant_type == "refresh_token" and refresh_token:
            grant = await login.refresh(refresh_token)
        elif grant_type in ("", "password", "refresh_token"):
            return _refusal(400, "invalid_request", "A form with grant_type and what belongs to it is needed.")
        else:
            return _refusal(400, "unsupported_grant_type", "grant_type is password or refresh_token.")
    except Unauthenticated as refusal:
        return _refusal(400, "invalid_grant", refusal.text)
    except NoRefreshTokens as refusal:
        return _refusal(400, "unsupported_grant_type", refusal.text)
    except Throttled as refusal:
        return _busy(refusal)
    response.headers.update(_NO_STORE)
    return TokenReply(access_token=grant.access_token, expires_in=grant.expires_in_s, refresh_token=grant.refresh_token)


@router.post("/revoke", response_class=Response)
async def revoke(request: Request, token: Text = "") -> Response:
    """Sign out: end the session of a refresh token. A token that is not known is no error (RFC 7009)."""
    if not token:
        return _refusal(400, "invalid_request", "A form with the refresh token as token is needed.")
    auth = _auth(request)
    try:
        await auth.login.revoke(token)
    except NoRefreshTokens as refusal:
        return _refusal(400, "unsupported_token_type", refusal.text)
    except Throttled as refusal:
        return _busy(refusal)
    auth.authenticator.forget_if_changed()
    return Response(headers=_NO_STORE)


@router.get("/me")
async def me(principal: Annotated[Principal, Depends(require())]) -> PrincipalReply:
    """Who am I?"""
    return PrincipalReply(name=principal.name, role=principal.role, expires_at=principal.expires_at)


@router.get("/accounts", dependencies=_ADMIN, response_model_exclude_none=True)
async def list_accounts(request: Request) -> list[AccountReply]:
    """Every account, by name."""
    return [_shown(account) for account in _auth(request).accounts.list()]


@router.post("/accounts", dependencies=_ADMIN, status_code=201)
async def add_account(request: Request, new: NewAccount) -> AccountReply:
    """Create an account."""
    auth = _auth(request)
    with _explained():
        password = new.password.get_secret_value()
        return _shown(await auth.login.hashing.run(auth.accounts.add, new.name, new.role, password, auth.clock()))


@router.delete("/accounts/{name}", dependencies=_ADMIN, status_code=204)
async def remove_account(request: Request, name: str) -> None:
    """Remove an account and end its sessions."""
    auth = _auth(request)
    with _explained():
        await auth.login.writing.run(auth.accounts.remove, name)
    auth.authenticator.forget_if_changed()


@router.put("/accounts/{name}/password", dependencies=_ADMIN, status_code=204)
async def set_password(request: Request, name: str, new: NewPassword) -> None:
    """Set a password and end the account's sessions."""
    auth = _auth(request)
    with _explained():
        await auth.login.hashing.run(auth.accounts.set_password, name, new.password.get_secret_value())
    auth.authenticator.forget_if_changed()


def _auth(request: Request) -> Auth:
    auth: Auth = request.app.state.auth
    return auth


def _shown(account: Account) -> AccountReply:
    return AccountReply(name=account.name, role=account.role, created_at=account.created_at)


def _refusal(status: int, error: OAuthError, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status, _NO_STORE)


def _busy(refusal: Throttled) -> JSONResponse:
    reply = _refusal(429, "temporarily_unavailable", refusal.text)
    reply.headers["Retry-After"] = str(ceil(refusal.retry_after_s))
    return reply


@contextmanager
def _explained() -> Iterator[None]:
    """Only an administrator gets this far, so the reason may be told."""
    try:
        yield
    except AccountError as problem:
        raise HTTPException(_STATUS[problem.problem], problem.explanation) from problem
