"""Signing in to the console with an identity provider, and out again, over HTTP."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from auth.audit import Actor, act_as
from auth.console_sessions import LIFE_S, ConsoleSessions
from auth.credentials.session_cookie import COOKIE, refuse_other_sites
from auth.errors import SignInFailed
from auth.principal import Principal
from auth.routes import require
from auth.routes.closed import address_of, request_id_of
from auth.setup import Auth
from auth.sign_in import LIFE_S as SIGN_IN_LIFE_S
from auth.sign_in import SignIn

_KEPT: Final = "__Host-tandem-sign-in"
_MOST_QUERY_BYTES: Final = 16 * 1024
_NO_STORE: Final = {"Cache-Control": "no-store"}

router = APIRouter(prefix="/auth", tags=["auth"])


class ProviderReply(BaseModel):
    """An identity provider that people may sign in with."""

    name: str
    title: str


@router.get("/providers")
async def list_providers(request: Request) -> list[ProviderReply]:
    """The identity providers that people may sign in with, for a page that offers them."""
    providers = _auth(request).providers
    found = providers.all() if providers is not None else ()
    return [ProviderReply(name=one.name, title=one.title) for one in found if one.client_id is not None]


@router.get("/oidc/{provider}/start", include_in_schema=False)
async def start(request: Request, provider: str, next: str = "/") -> Response:
    """Send the browser to an identity provider to sign in, and then to the page `next` of this server."""
    started = await _sign_in(request).start(provider, request.headers.get("host", ""), next)
    reply = RedirectResponse(started.url, 302, _NO_STORE)
    # Lax: it has to come back with the provider's redirect, which is a request that another site made.
    _set(reply, _KEPT, started.kept, SIGN_IN_LIFE_S, "lax")
    return reply


@router.get("/oidc/{provider}/callback", include_in_schema=False)
async def callback(request: Request, provider: str) -> Response:
    """Where an identity provider sends the browser back to."""
    auth = _auth(request)
    answer = request.query_params
    if len(request.url.query) > _MOST_QUERY_BYTES or len(answer.multi_items()) != len(answer):
        raise SignInFailed
    act_as(Actor("", "provider", address_of(request), request_id_of(request)))
    who, following = await _sign_in(request).finish(provider, request.cookies.get(_KEPT), dict(answer))
    sessions = _sessions(auth)
    secret = await auth.login.writing.run(
        sessions.open_for_provider, who.name, provider, tuple(who.roles), auth.clock()
    )
    reply = RedirectResponse(following, 303, _NO_STORE)
    _set(reply, COOKIE, secret, int(LIFE_S), "strict")
    _set(reply, _KEPT, "", 0, "lax")
    return reply


@router.delete("/session", status_code=204)
async def sign_out(request: Request, _: Annotated[Principal, Depends(require())]) -> Response:
    """Sign out of the console: end the session of the cookie."""
    auth = _auth(request)
    refuse_other_sites(dict(request.headers.raw))
    if auth.accounts.console is not None:
        await auth.login.writing.run(auth.accounts.console.end, request.cookies.get(COOKIE, ""))
    reply = Response(status_code=204, headers=_NO_STORE)
    _set(reply, COOKIE, "", 0, "strict")
    return reply


def _set(reply: Response, name: str, value: str, seconds: int, same_site: str) -> None:
    """Set a cookie that no script may read, and that leaves over https or to this machine itself alone."""
    attributes = f"Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite={same_site.capitalize()}"
    reply.headers.append("set-cookie", f"{name}={value}; {attributes}")


def _auth(request: Request) -> Auth:
    auth: Auth = request.app.state.auth
    return auth


def _sign_in(request: Request) -> SignIn:
    auth = _auth(request)
    _sessions(auth)
    if auth.providers is None:
        raise SignInFailed("There is no identity provider to sign in with.")
    return SignIn(auth.providers, auth.tokens, auth.clock)


def _sessions(auth: Auth) -> ConsoleSessions:
    if auth.accounts.console is None:
        raise HTTPException(
            409, "Signing in to the console needs a database of accounts; here they are kept in a file."
        )
    return auth.accounts.console
