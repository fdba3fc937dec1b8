"""Signing people in with an identity provider: OpenID Connect's authorization code flow, with PKCE.

Owns what is sent to the provider and what must come back. Must not know HTTP on our side. What has to be remembered
between the two lies in a signed cookie of the browser, so that any web process or server can end what another began.
The provider's tokens are dropped once they were read.
"""

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from auth import jws
from auth.credentials import oidc
from auth.credentials.fetch import FetchRefused
from auth.credentials.identity import Provider
from auth.credentials.key_sets import Endpoints
from auth.credentials.providers import Providers
from auth.errors import AuthError, ProviderRefusal, ProviderUnavailable, SignInFailed
from auth.secret_file import SecretFile
from auth.tokens import Tokens

PURPOSE: Final = "sign-in"
LIFE_S: Final = 600
_NEXT: Final = re.compile(r"/(console(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}){0,8}/?|docs)?")
"""Paths that a browser may be sent to after a sign-in: pages of ours, never another host."""


@dataclass(frozen=True, slots=True)
class Started:
    """Where to send the browser, and what it keeps for us meanwhile."""

    url: str
    kept: str


class SignIn:
    """Begins and ends sign-ins with identity providers."""

    def __init__(self, providers: Providers, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._providers = providers
        self._tokens = tokens
        self._clock = clock

    async def start(self, name: str, host: str, following: str, again: bool = False) -> Started:
        """Begin a sign-in for a browser that asked this `host`, and wants to be at the path `following` after it.

        With `again` the provider is to ask for the password, also where somebody is signed in with it already.
        """
        provider = self._provider(name)
        redirect = next((url for url in provider.redirects if urlsplit(url).netloc.lower() == host.lower()), None)
        if redirect is None:
            raise SignInFailed(f"The redirects of {name} have no address of this host.")
        if not _NEXT.fullmatch(following):
            raise SignInFailed("next is the path of a page of this server: /, /docs, or one below /console/.")
        endpoints = await self._providers.keys_of(provider).endpoints()
        if endpoints.authorization is None:
            raise ProviderUnavailable(f"{name} names no authorization_endpoint")
        held = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
        kept = held | {"provider": name, "redirect": redirect, "next": following}
        if again:
            kept["asked_at"] = str(self._clock())
        question = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect,
            "scope": "openid profile",
            "state": held["state"],
            "nonce": held["nonce"],
            "code_challenge": _challenge(held["verifier"]),
            "code_challenge_method": "S256",
        } | ({"prompt": "login", "max_age": "0"} if again else {})
        joint = "&" if urlsplit(endpoints.authorization).query else "?"
        url = endpoints.authorization + joint + urlencode(question)
        return Started(url, self._tokens.seal(PURPOSE, kept, self._clock(), LIFE_S))

    async def finish(self, name: str, kept: str | None, answer: Mapping[str, str]) -> tuple[oidc.Identity, str]:
        """The person who has signed in, and the path to go on at. `answer` is the query that the provider sent back."""
        provider = self._provider(name)
        held = self._held(kept, name)
        endpoints = await self._providers.keys_of(provider).endpoints()
        code = _code(answer, held, provider, endpoints)
        token = await self._id_token(provider, endpoints, code, held)
        try:
            unverified = jws.read(token, oidc.LONGEST_TOKEN)
            key = await self._providers.keys_of(provider).key(oidc.key_id(unverified, provider))
            who = oidc.signed_in(unverified, provider, key, held["nonce"], self._clock())
            _check_again(who, held)
            return who, held["next"]
        except ProviderRefusal:
            raise
        except Exception as refusal:  # whatever it was: what a provider sends is never the cause of a 500
            raise SignInFailed("The identity provider's answer will not do; the log says why.") from refusal

    def _provider(self, name: str) -> Provider:
        provider = self._providers.by_name(name)
        if provider is None or provider.client_id is None:
            raise SignInFailed("There is no such identity provider to sign in with.")
        return provider

    def _held(self, kept: str | None, name: str) -> dict[str, str]:
        try:
            held = self._tokens.unseal(PURPOSE, kept or "", self._clock())
        except AuthError as problem:
            raise SignInFailed("This browser began no sign-in within the last 10 minutes. Begin it again.") from problem
        if held["provider"] != name:
            raise SignInFailed
        return held

    async def _id_token(self, provider: Provider, endpoints: Endpoints, code: str, held: Mapping[str, str]) -> str:
        if endpoints.token is None:
            raise ProviderUnavailable(f"{provider.name} names no token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": held["redirect"],
            "client_id": provider.client_id or "",
            "code_verifier": held["verifier"],
        }
        try:
            answer = await self._providers.fetch.post(endpoints.token, form, _login(provider))
        except FetchRefused as refused:
            if refused.status >= 500:
                raise
            raise SignInFailed("The identity provider did not take the code. Begin the sign-in again.") from refused
        token: Any = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInFailed("The identity provider sent no ID token.")
        return token


def _code(answer: Mapping[str, str], held: Mapping[str, str], provider: Provider, endpoints: Endpoints) -> str:
    if not compare_digest(answer.get("state", "").encode(), held["state"].encode()):
        raise SignInFailed
    # RFC 9207: an answer of another provider must not be taken for this one's.
    if answer.get("iss", None if endpoints.names_issuer else provider.issuer) != provider.issuer:
        raise SignInFailed
    if "error" in answer:
        raise SignInFailed("The identity provider refused the sign-in.")
    code = answer.get("code", "")
    if not code:
        raise SignInFailed
    return code


def _check_again(who: oidc.Identity, held: Mapping[str, str]) -> None:
    """Refuse a sign-in from before, where a new one was asked for. Not every provider says when it was."""
    if "asked_at" in held and who.signed_in_at is not None:
        fresh = who.signed_in_at >= float(held["asked_at"]) - oidc.LEEWAY_S
        jws.require(fresh, "bad_claims", "its auth_time is of before the person was to sign in again")


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _login(provider: Provider) -> tuple[str, str] | None:
    """The id and the secret that the provider gave us. None for a client without a secret: PKCE makes up for it."""
    if provider.client_secret_file is None or provider.client_id is None:
        return None
    return provider.client_id, SecretFile(provider.client_secret_file, lambda raw: raw.decode().strip()).value
