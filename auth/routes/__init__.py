"""The /auth routes and the dependency that closes every other route.

Owns what they look like over HTTP, one file for each thing. The only package of auth that imports fastapi. It raises
the errors of `errors.py`, which the web layer turns into problem documents; only `/auth/token` and `/auth/revoke`
answer for themselves, in the form that OAuth2 clients expect (RFC 6749, 5.2). Open are these two and what signs people
in to the console. The application carries an `Auth` as `app.state.auth`.
"""

from auth.routes import accounts, audit, keys, limits, policy, session, sign_in, tokens, usage
from auth.routes.closed import require, router

__all__ = [
    "accounts",
    "audit",
    "keys",
    "limits",
    "policy",
    "require",
    "router",
    "session",
    "sign_in",
    "tokens",
    "usage",
]
