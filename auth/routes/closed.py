"""The router, the dependency that closes a route, and what routes need of the application."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.security import OAuth2PasswordBearer

from auth.audit import Actor, act_as
from auth.errors import AccountError, ConfirmFirst, Forbidden
from auth.principal import Allowance, Permission, Principal
from auth.setup import Auth

# Only so that the docs page shows its Authorize button: the headers are read by the authenticator.
_scheme = OAuth2PasswordBearer(tokenUrl="/auth/token", auto_error=False)


CONFIRMED_FOR_S: Final = 15 * 60.0
"""How long after a sign-in accounts may be changed from a browser."""
_READING: Final = ("GET", "HEAD")

router = APIRouter(prefix="/auth", tags=["auth"])
"""The router of auth, to which each file of routes adds its own."""


def require(permission: Permission | None = None) -> Callable[..., Awaitable[Principal]]:
    """A dependency that gives the principal, and refuses one who lacks `permission`."""

    async def principal(request: Request, _: Annotated[str | None, Depends(_scheme)]) -> Principal:
        asking = await auth_of(request).authenticator.authenticate(dict(request.headers.raw), address_of(request))
        request.state.principal = asking
        act_as(Actor(asking.name, f"{asking.via}:{asking.credential}", address_of(request), request_id_of(request)))
        if permission is not None and not asking.may(permission):
            raise Forbidden(permission)
        if permission == "accounts" and request.method not in _READING:
            _confirmed(asking, auth_of(request).clock())
        return asking

    return principal


def _confirmed(asking: Principal, now: float) -> None:
    """Refuse a browser that was left open: the person must have shown who they are within the last minutes."""
    if asking.signed_in_at is not None and not 0 <= now - asking.signed_in_at < CONFIRMED_FOR_S:
        raise ConfirmFirst


Admin = Annotated[Principal, Depends(require("accounts"))]
ADMIN: Final = [Depends(require("accounts"))]


def auth_of(request: Request) -> Auth:
    """Everything of auth, as this process has it."""
    auth: Auth = request.app.state.auth
    return auth


def address_of(request: Request) -> str:
    """The address of the caller; empty where there is none."""
    return request.client.host if request.client else ""


def request_id_of(request: Request) -> str:
    """The id by which the log has this request."""
    return str(getattr(request.state, "request_id", ""))


def must_hold(principal: Principal, *allowances: Allowance) -> None:
    """Refuse to let a caller give what they may not do themselves."""
    if not all(principal.holds(allowance) for allowance in allowances):
        raise AccountError("lacking")
