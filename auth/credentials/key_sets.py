"""The keys that identity providers sign with (JWKS), as they are now.

Owns when they are asked for, and how long they are good. Must not know tokens. Time is told by a clock.

They are asked for at the start and every hour, in the background. A key that is not known is asked for at once, by one
request for all who wait, and once a minute at most: an attacker who makes up key ids must not make us a burden to the
provider. The last good set stays in force while the provider is away, for a day.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from auth import jws
from auth.credentials.fetch import TIMEOUT_S, Fetch
from auth.credentials.identity import Provider, is_safe_url
from auth.errors import ProviderUnavailable, Unauthenticated
from auth.jws import PublicAlgorithm

EVERY_S: Final = 3600.0
RETRY_S: Final = 20.0
ASK_AGAIN_S: Final = 60.0
GOOD_FOR_S: Final = 86_400.0
MOST_KEYS: Final = 32
_LONGEST_ID: Final = 256

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a provider, and the issuer that alone may use it, where the key set says so."""

    public: jws.Key
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The parts of a provider's discovery document that concern us."""

    keys: str
    authorization: str | None
    token: str | None
    end_session: str | None
    names_issuer: bool


class KeySet:
    """The keys of one provider."""

    def __init__(self, provider: Provider, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self.provider = provider
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._endpoints: Endpoints | None = None
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._failed = False
        self.removed = 0
        """How often a key was taken away. Whatever such a key has proven before no longer holds."""
        self._fetching: asyncio.Task[None] | None = None

    @property
    def age_s(self) -> float | None:
        """The age of the key set in seconds; None before there is one."""
        return None if self._fetched_at is None else self._clock() - self._fetched_at

    async def key(self, kid: str) -> Key:
        """The key of this id.

        Raise `Unauthenticated` where there is none, `ProviderUnavailable` if that cannot be known.
        """
        found = self._good(kid)
        if found is None:
            await self._ask_for_unknown()
            found = self._good(kid)
        if found is not None:
            return found
        if self._failed or not self._is_good():
            raise ProviderUnavailable(f"the keys of {self.provider.name} are not known")
        raise Unauthenticated("bad_header", "its kid is none of the provider's keys")

    async def endpoints(self) -> Endpoints:
        """The addresses at which the provider signs people in."""
        if self._endpoints is None:
            await self._ask_for_unknown()
        if self._endpoints is None:
            raise ProviderUnavailable(f"{self.provider.name} could not be asked where it signs people in")
        return self._endpoints

    async def follow(self) -> None:
        """Keep the key set fresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(RETRY_S if self._failed else EVERY_S)

    async def refresh(self) -> None:
        """Ask for the key set, together with all who ask at the time.

        A failure is logged, and the last good set stays.
        """
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._refresh())
        # A caller who goes away does not end what others wait for.
        await asyncio.shield(self._fetching)

    def _good(self, kid: str) -> Key | None:
        return self._keys.get(kid) if self._is_good() else None

    def _is_good(self) -> bool:
        return self._fetched_at is not None and self._clock() - self._fetched_at < GOOD_FOR_S

    async def _ask_for_unknown(self) -> None:
        if self._fetching is None:
            now = self._clock()
            if self._asked_at is not None and now - self._asked_at < ASK_AGAIN_S:
                return
            self._asked_at = now
        await self.refresh()

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                endpoints = _endpoints(self.provider, await self._fetch.get(self.provider.discovery_url))
                keys = _keys(await self._fetch.get(endpoints.keys), self.provider.algorithm)
            self.removed += not self._keys.keys() <= keys.keys()
            self._keys = keys
            self._endpoints = endpoints
            self._fetched_at = self._clock()
            self._failed = False
        except (ProviderUnavailable, TimeoutError) as problem:
            self._failed = True
            reason = str(problem) or "it took too long"
            log.warning(
                "an identity provider's keys cannot be had", extra={"provider": self.provider.name, "reason": reason}
            )
        finally:
            self._fetching = None


def _endpoints(provider: Provider, document: Mapping[str, Any]) -> Endpoints:
    if document.get("issuer") != provider.issuer:
        raise ProviderUnavailable("its discovery document names another issuer")
    keys = _url(document, "jwks_uri")
    if keys is None:
        raise ProviderUnavailable("its discovery document has no jwks_uri that is an https address")
    names = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")
    authorization, token, end_session = (_url(document, name) for name in names)
    named = document.get("authorization_response_iss_parameter_supported") is True
    return Endpoints(keys, authorization, token, end_session, named)


def _url(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) and is_safe_url(value) else None


def _keys(document: Mapping[str, Any], algorithm: PublicAlgorithm) -> dict[str, Key]:
    """The keys of a set that can be used. Others are left out: a provider may have keys for other ends."""
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > MOST_KEYS:
        raise ProviderUnavailable(f"its key set is no list of {MOST_KEYS} keys at most")
    found: dict[str, Key] = {}
    twice: set[str] = set()
    for entry in entries:
        kid = entry.get("kid") if isinstance(entry, dict) else None
        if not isinstance(kid, str) or not 0 < len(kid) <= _LONGEST_ID:
            continue
        try:
            key = Key(jws.public_key(entry, algorithm), _issuer(entry))
        except ValueError as problem:
            log.debug("a key of an identity provider is left out", extra={"reason": str(problem)})
            continue
        if kid in found:
            twice.add(kid)
        found[kid] = key
    for kid in twice:  # which of them a token means, nobody could say
        del found[kid]
    if not found:
        raise ProviderUnavailable(f"its key set has no key for {algorithm}")
    return found


def _issuer(entry: Mapping[str, Any]) -> str | None:
    issuer = entry.get("issuer")
    if issuer is None or isinstance(issuer, str):
        return issuer
    raise ValueError("its issuer is no text")
