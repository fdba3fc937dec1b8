"""The identity providers of a server: their file, and their keys.

Owns that a change of the file is taken while the server runs. Must not know what a token has to say.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Final

from auth import jws
from auth.credentials import identity, oidc
from auth.credentials.fetch import Fetch
from auth.credentials.identity import Provider
from auth.credentials.key_sets import KeySet
from auth.errors import AuthError, Unauthenticated
from auth.secret_file import SecretFile


class Providers:
    """The identity providers of a file, as the file is now."""

    def __init__(self, path: Path, fetch: Fetch | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = SecretFile(path, identity.parse)
        self.fetch: Final = fetch or Fetch()
        self._clock = clock
        self._sets: dict[str, KeySet] = {}
        self._changed = asyncio.Event()
        self._take()

    def by_issuer(self, issuer: object) -> Provider | None:
        """The provider whose tokens name this issuer."""
        return self._file.value.get(issuer) if isinstance(issuer, str) else None

    def by_name(self, name: str) -> Provider | None:
        """The provider of this name in the file."""
        return next((provider for provider in self.all() if provider.name == name), None)

    def all(self) -> tuple[Provider, ...]:
        """Every provider."""
        return tuple(self._file.value.values())

    def keys_of(self, provider: Provider) -> KeySet:
        """The key set of one provider."""
        return self._sets[provider.issuer]

    def ages(self) -> dict[str, float]:
        """The age of each provider's keys in seconds; infinite where they were never fetched."""
        ages = {provider.name: self.keys_of(provider).age_s for provider in self.all()}
        return {name: inf if age is None else age for name, age in ages.items()}

    def change_counter(self) -> object:
        """Look at the file. The number differs from the one before if a token that was good may be so no longer."""
        if self._file.look():
            self._take()
        return self._file.changes, tuple(keys.removed for keys in self._sets.values())

    async def follow(self) -> None:
        """Keep the key sets of all providers fresh until cancelled."""
        while True:
            self._changed.clear()
            tasks = [asyncio.create_task(keys.follow()) for keys in self._sets.values()]
            try:
                await self._changed.wait()
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    async def identity(self, token: str | bytes, now: float) -> oidc.Identity:
        """The caller that a token names; raise `Unauthenticated`, `NoRole`, `GroupsOverage` or `ProviderUnavailable`.

        The error has the rule that refuses the token, in words for an administrator.
        """
        try:
            return await self._identity(token, now)
        except AuthError:
            raise
        except Exception as problem:  # whatever it was: a token is never the cause of a 500
            raise Unauthenticated("malformed", "it cannot be read") from problem

    async def _identity(self, token: str | bytes, now: float) -> oidc.Identity:
        unverified = jws.read(token, oidc.LONGEST_TOKEN)
        provider = self.by_issuer(unverified.payload.get("iss"))
        if provider is None:
            raise Unauthenticated("bad_claims", "its iss is the issuer of no provider")
        kid = oidc.key_id(unverified, provider)
        return oidc.identity(unverified, provider, await self.keys_of(provider).key(kid), now)

    def _take(self) -> None:
        """Take over the providers of the file. Keys are kept of a provider that is described as before."""
        kept = {issuer: keys for issuer, keys in self._sets.items() if keys.provider == self.by_issuer(issuer)}
        new = {issuer: KeySet(p, self.fetch, self._clock) for issuer, p in self._file.value.items()}
        self._sets = new | kept
        self._changed.set()
