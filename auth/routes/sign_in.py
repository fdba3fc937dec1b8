"""Signing in to the console with an identity provider."""

from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from auth.audit import Actor, act_as
from auth.console_sessions import Vouched
from auth.errors import SignInFailed
from auth.routes.closed import address_of, auth_of, request_id_of, router
from auth.routes.cookies import NO_STORE, set_cookie, signed_in
from auth.sign_in import LIFE_S, SignIn

_KEPT: Final = "__Host-tandem-sign-in"
_MOST_QUERY_BYTES: Final = 16 * 1024


class ProviderReply(BaseModel):
    """An identity provider that people may sign in with."""

    name: str
    title: str


@router.get("/providers")
async def list_providers(request: Request) -> list[ProviderReply]:
    """The identity providers that people may sign in with, for a page that offers them."""
    providers = auth_of(request).providers
    found = providers.all() if providers is not None else ()
    return [ProviderReply(name=one.name, title=one.title) for one in found if one.client_id is not None]


@router.get("/oidc/{provider}/start", include_in_schema=False)
async def start(request: Request, provider: str, next: str = "/", again: bool = False) -> Response:
    """Send the browser to an identity provider to sign in, and then to the page `next` of this server.

    With `again` the provider asks for the password, also where somebody is signed in there already: that confirms it.
    """
    started = await _sign_in(request).start(provider, request.headers.get("host", ""), next, again)
    reply = RedirectResponse(started.url, 302, NO_STORE)
    # Lax: it has to come back with the provider's redirect, which is a request that another site made.
    set_cookie(reply, _KEPT, started.kept, LIFE_S, "lax")
    return reply


@router.get("/oidc/{provider}/callback", include_in_schema=False)
async def callback(request: Request, provider: str) -> Response:
    """Where an identity provider sends the browser back to."""
    auth = auth_of(request)
    answer = request.query_params
    if len(request.url.query) > _MOST_QUERY_BYTES or len(answer.multi_items()) != len(answer):
        raise SignInFailed
    act_as(Actor("", "provider", address_of(request), request_id_of(request)))
    who, following = await _sign_in(request).finish(provider, request.cookies.get(_KEPT), dict(answer))
    now = auth.clock()
    signed_in_at = now if who.signed_in_at is None else min(now, who.signed_in_at)
    person = Vouched(who.name, provider, tuple(who.roles), who.groups, signed_in_at)
    secret = await auth.login.writing.run(auth.console.open_for_provider, person, now)
    reply = signed_in(RedirectResponse(following, 303, NO_STORE), secret)
    set_cookie(reply, _KEPT, "", 0, "lax")
    return reply


def _sign_in(request: Request) -> SignIn:
    auth = auth_of(request)
    if auth.providers is None:
        raise SignInFailed("There is no identity provider to sign in with.")
    return SignIn(auth.providers, auth.tokens, auth.clock)
