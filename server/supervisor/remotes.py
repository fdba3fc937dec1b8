"""Other Tandem servers: asks each, every second, which models it has, so that they are in our catalog too.

Their answers pass through here; the requests for their models do not: web processes relay those themselves. A server
that does not answer keeps its models in the catalog, as ones that cannot be had at present. Nothing else depends on it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from auth.setup import PeerTokens
from server.supervisor import listed
from server.wire.snapshot import Entry, RemoteState

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
MAX_CATALOG_BYTES = 64 << 20
REASONS = {401: "it does not know our key or our accounts", 403: "it does not know our key or our accounts"}


class Unheard(Exception):
    """Another server has not listed its models. The text says why, in words that callers may read."""


class Remotes:
    """All other servers, as our catalog shows them."""

    def __init__(
        self,
        urls: dict[str, str],
        token_key: Path | None,
        publish: Callable[[], Awaitable[None]],
        on_state: Callable[[str, bool], None],
    ) -> None:
        self.states = {name: RemoteState(url) for name, url in urls.items()}
        self._token_key = token_key
        self._publish = publish
        self._on_state = on_state
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._etags: dict[str, str] = {}
        self._asked: set[str] = set()
        self._shadowed: frozenset[str] = frozenset()

    @property
    def looked(self) -> bool:
        """Whether each server has been asked once, whether or not it has answered."""
        return self._asked == self.states.keys()

    def entries(self, taken: Collection[str]) -> list[Entry]:
        """The models of the other servers. A name that is served here, or by a server named earlier, is left out."""
        found: list[Entry] = []
        shadowed = set()
        names = set(taken)
        for remote in self.states:
            entries = self._entries.get(remote, ())
            found += [entry for entry in entries if entry.name not in names]
            shadowed |= {f"{entry.name} of {remote}" for entry in entries if entry.name in names}
            names |= {entry.name for entry in entries}
        if shadowed - self._shadowed:
            log.warning("a remote model is not served: its name is taken", extra={"model": ", ".join(sorted(shadowed))})
        self._shadowed = frozenset(shadowed)
        return found

    async def follow(self) -> None:
        """Ask all servers for their models, every second, until cancelled."""
        if not self.states:
            return
        assert self._token_key is not None  # the settings see to it
        import aiohttp  # which takes a tenth of a second: most servers have no remotes

        tokens = PeerTokens(self._token_key)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await asyncio.gather(*(self._follow(session, tokens, name) for name in self.states))

    async def _follow(self, session: aiohttp.ClientSession, tokens: PeerTokens, name: str) -> None:
        while True:
            try:
                await self._ask(session, tokens.token(time.time()), name)
            except Exception:
                log.exception("a remote could not be asked", extra={"remote": name})
            await asyncio.sleep(ASK_EVERY_S)

    async def _ask(self, session: aiohttp.ClientSession, token: str, name: str) -> None:
        before = self.states[name], self._entries.get(name), name in self._asked
        url = before[0].url
        try:
            self._entries[name] = await self._fetched(session, token, name, url)
            self.states[name] = RemoteState(url, heard=True)
        except Unheard as e:
            self._etags.pop(name, None)
            self._entries[name] = tuple(_unavailable(entry, name, str(e)) for entry in self._entries.get(name, ()))
            self.states[name] = RemoteState(url, before[0].heard, str(e))
        self._asked.add(name)
        reason = self.states[name].reason
        self._on_state(name, reason is None)
        if (self.states[name], self._entries[name], True) != before:
            if reason is not None and reason != before[0].reason:
                log.warning("a remote cannot be reached", extra={"remote": name, "reason": reason})
            await self._publish()

    async def _fetched(self, session: aiohttp.ClientSession, token: str, name: str, url: str) -> tuple[Entry, ...]:
        from aiohttp import ClientError

        headers = {"authorization": f"Bearer {token}"}
        if name in self._etags:
            headers["if-none-match"] = self._etags[name]
        try:
            async with session.get(f"{url}/v1/catalog", headers=headers, allow_redirects=False) as response:
                if response.status == 304 and name in self._etags:
                    return self._entries[name]
                if response.status != 200:
                    raise Unheard(REASONS.get(response.status, f"it answers {response.status}"))
                body = await response.content.readexactly(_length(response))
                etag = response.headers.get("etag", "")
                self._etags[name] = etag if etag.isprintable() and etag.isascii() else ""
        except (ClientError, OSError, asyncio.IncompleteReadError) as e:
            raise Unheard("no connection") from e
        try:
            return listed.entries(body, name)
        except ValueError as e:
            raise Unheard("it answers what is no catalog") from e


def _length(response: aiohttp.ClientResponse) -> int:
    length = response.content_length
    if length is None or length > MAX_CATALOG_BYTES:
        raise Unheard("it answers what is no catalog")
    return length


def _unavailable(entry: Entry, remote: str, reason: str) -> Entry:
    if entry.state != "ready" and entry.code != "remote_unavailable":
        return entry
    return replace(entry, state="failed", code="remote_unavailable", reason=f"the server {remote}: {reason}")
