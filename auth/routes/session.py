"""Signing in to the console with a password, confirming it, and signing out."""

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from auth.audit import Actor, act_as
from auth.errors import AccountError, Unauthenticated
from auth.principal import Principal
from auth.routes.closed import CONFIRMED_FOR_S, address_of, auth_of, request_id_of, require, router
from auth.routes.cookies import NO_STORE, page_of_ours, session_secret, signed_in, signed_out

_OURS = [Depends(page_of_ours)]
Asking = Annotated[Principal, Depends(require())]


class SessionReply(BaseModel):
    """The session of a browser."""

    name: str
    provider: str | None = Field(None, description="The identity provider that vouches; absent for an account.")
    signed_in_at: float = Field(description="Unix seconds: when the password was shown last.")
    confirmed_until: float = Field(description="Unix seconds: until then accounts may be changed.")
    expires_at: float = Field(description="Unix seconds.")


class NameAndPassword(BaseModel):
    """Who wants to sign in."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=300)
    password: SecretStr


class Confirmation(BaseModel):
    """The password, once more."""

    model_config = ConfigDict(extra="forbid")

    password: SecretStr


class ChangedPassword(BaseModel):
    """A new password for oneself."""

    model_config = ConfigDict(extra="forbid")

    current: SecretStr
    new: SecretStr = Field(description="8 to 1024 characters.")


@router.post("/session", status_code=204, responses={401: {}, 403: {}, 429: {}}, dependencies=_OURS)
async def begin_session(request: Request, who: NameAndPassword) -> Response:
    """Sign in to the console: the answer has a cookie that no script can read. Programs use `/auth/token`."""
    auth = auth_of(request)
    act_as(Actor("", "password", address_of(request), request_id_of(request)))
    password = who.password.get_secret_value()
    secret = await auth.login.prove(auth.console.sign_in, who.name, password, address_of(request))
    if before := session_secret(request):  # what the browser had is of no use to anybody any more
        await auth.login.writing.run(auth.console.end, before)
    return signed_in(Response(status_code=204, headers=NO_STORE), secret)


@router.get("/session", dependencies=_OURS, response_model_exclude_none=True)
async def show_session(request: Request, response: Response, asking: Asking) -> SessionReply:
    """Who is signed in with this browser's cookie, and until when."""
    auth = auth_of(request)
    found = await auth.accounts.look(auth.console.find, session_secret(request), auth.clock())
    if found is None or asking.via != "session":
        raise Unauthenticated("missing")
    response.headers.update(NO_STORE)
    return SessionReply(
        name=found.name,
        provider=found.provider,
        signed_in_at=found.signed_in_at,
        confirmed_until=found.signed_in_at + CONFIRMED_FOR_S,
        expires_at=found.expires_at,
    )


@router.post("/session/confirm", status_code=204, responses={409: {}}, dependencies=_OURS)
async def confirm_session(request: Request, shown: Confirmation, asking: Asking) -> Response:
    """Show the password again, so that accounts may be changed for the next 15 minutes."""
    auth = auth_of(request)
    before = session_secret(request)
    found = await auth.accounts.look(auth.console.find, before, auth.clock())
    if found is None or asking.via != "session":
        raise Unauthenticated("missing")
    if found.provider is not None:
        raise AccountError("elsewhere")

    def attempt(name: str, password: str, now: float) -> str | None:
        return auth.console.confirm(before, name, password, now)

    secret = await auth.login.prove(attempt, found.name, shown.password.get_secret_value(), address_of(request))
    return signed_in(Response(status_code=204, headers=NO_STORE), secret)


@router.delete("/session", status_code=204)
async def end_session(request: Request, _: Asking, __: Annotated[None, Depends(page_of_ours)]) -> Response:
    """Sign out of the console: end the session of the cookie."""
    auth = auth_of(request)
    await auth.login.writing.run(auth.console.end, session_secret(request))
    return signed_out(Response(status_code=204, headers=NO_STORE))


@router.put("/me/password", status_code=204, responses={409: {}})
async def change_own_password(request: Request, change: ChangedPassword, asking: Asking) -> None:
    """Set a password of your own. Every other session of yours ends, and this one goes on."""
    auth = auth_of(request)
    if await auth.accounts.look(auth.accounts.find, asking.name) is None:
        raise AccountError("elsewhere")

    def attempt(name: str, password: str, now: float) -> bool | None:
        if auth.accounts.check(name, password) is None:
            return None
        auth.accounts.set_password(name, change.new.get_secret_value(), but=asking.credential)
        return True

    await auth.login.prove(attempt, asking.name, change.current.get_secret_value(), address_of(request))
    auth.authenticator.forget_if_changed()
