"""The cookies of the console, and the rule for requests that set or use them."""

from typing import Final

from fastapi import Request, Response

from auth.console_sessions import LIFE_S
from auth.credentials.session_cookie import COOKIE, refuse_other_sites, value

NO_STORE: Final = {"Cache-Control": "no-store"}


async def page_of_ours(request: Request) -> None:
    """A dependency that refuses what a page of another site asks for, signing in and out included."""
    refuse_other_sites(dict(request.headers.raw))


def session_secret(request: Request) -> str:
    """The value of the console's cookie; empty where there is none."""
    return value(dict(request.headers.raw), COOKIE) or ""


def signed_in(reply: Response, secret: str) -> Response:
    """The reply, with the cookie of a session added."""
    set_cookie(reply, COOKIE, secret, int(LIFE_S), "strict")
    return reply


def signed_out(reply: Response) -> Response:
    """The reply, with the cookie taken from the browser."""
    set_cookie(reply, COOKIE, "", 0, "strict")
    return reply


def set_cookie(reply: Response, name: str, value: str, seconds: int, same_site: str) -> None:
    """Set a cookie that no script may read, and that leaves over https or to this machine itself alone."""
    attributes = f"Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite={same_site.capitalize()}"
    reply.headers.append("set-cookie", f"{name}={value}; {attributes}")
