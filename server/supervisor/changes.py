"""The endpoints in force: what the folder or the store of endpoints says, put into force whole or not at all.

Owns the wanted state, alone, so that no two writers have to agree. Must not know how requests find their way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from auth.accounts import open_database
from auth.errors import AccountsUnavailable
from auth.setup import ACCOUNTS_FILE
from server.config import Settings
from server.endpoint_metrics import EndpointGauges
from server.endpoints import folder
from server.endpoints.definition import BadDefinition, Refusal
from server.endpoints.folder import Definitions, Stamp
from server.endpoints.state import states_of
from server.pools.recent import RECENT
from server.supervisor.endpoint_store import EndpointStore, Servers
from server.wire.control import Answer, EndpointChange, EndpointChanged, Lines, LinesTold, Question
from server.wire.snapshot import DeploymentState, EndpointState, Entry

log = logging.getLogger(__name__)

Place = tuple[str, str]
"""An endpoint and a deployment, by name."""
Version = tuple[str, str]
"""A model and a version, by name."""
LOOK_EVERY_S = 0.25
"""Seconds between two looks. Of a folder, two that see the same are needed, so that no half of a write is read."""
FOLLOW_S = 10.0
"""How long the other servers are waited for after a change."""
IN_FILE = (
    "The endpoints of this server come from a folder of files (TANDEM_ENDPOINTS). Change them where they come from."
)
NO_STORE = (
    "The accounts of this server come from a file, and there is no database beside them to keep endpoints in. Define "
    "them in a folder (TANDEM_ENDPOINTS)."
)
NO_PROVIDER = "'auth_mode' is aad_token, and this server has no identity provider (TANDEM_IDENTITY)."
NOT_READY = (
    "'traffic': the deployment '{0}' cannot answer yet. GET /v1/endpoints/{1}/deployments/{0} has its state and the "
    "reason."
)


class Changes:
    """The endpoints of this server, and their changes."""

    def __init__(self, settings: Settings, publish: Callable[[], Awaitable[None]], gauges: EndpointGauges) -> None:
        """`publish` returns when all web processes have switched."""
        self._settings = settings
        self._path: Path | None = settings.endpoints
        self._publish = publish
        self._gauges = gauges
        self._read: Stamp | None = None
        self._store: EndpointStore | None = None
        self._servers: Servers | None = None
        self._number = 0
        """The last change of the store that was read."""
        self._in_force = 0
        self._taking = asyncio.Lock()
        self._away = False
        self._answering: set[Version] = set()
        self._last: dict[Place, Version] = {}
        """What has answered for each deployment."""
        self.in_force: tuple[EndpointState, ...] = ()
        """What web processes are told: what is wanted, as far as it can be had."""
        self.states: tuple[EndpointState, ...] = ()

    def measure(self, entries: Iterable[Entry]) -> None:
        """Know what is in force while these are all model versions, and have the metrics tell it."""
        entries = tuple(entries)
        self._answering = {(entry.name, entry.version) for entry in entries if entry.state == "ready"}
        before, self._last = self._last, {}
        self.in_force = tuple(replace(one, deployments=self._serving(one, before)) for one in self.states)
        self._gauges.tell(self.in_force, entries)

    def _serving(self, state: EndpointState, before: Mapping[Place, Version]) -> tuple[DeploymentState, ...]:
        """The deployments of an endpoint, each with the version before as long as the new one cannot answer."""
        found = []
        for one in state.deployments:
            place, wanted = (state.name, one.name), (one.model, one.version)
            last = before.get(place, wanted)
            if wanted not in self._answering and last in self._answering:
                one = replace(one, model=last[0], version=last[1], coming=wanted)
            self._last[place] = one.model, one.version
            found.append(one)
        return tuple(found)

    async def begin(self) -> None:
        """Read what is wanted for the first time. What cannot be used is told, and models are served all the same."""
        if self._path is not None:
            await self._take_folder(self._path, await asyncio.to_thread(_stamp, self._path))
        elif self._settings.accounts is None:
            database = open_database(self._settings.database or self._settings.data / ACCOUNTS_FILE, watched=True)
            self._store = EndpointStore(database)
            self._servers = Servers(database) if database.remote else None
            await self._take_store(self._store)

    async def follow(self) -> None:
        """Put into force what changes, for ever."""
        if self._path is not None:
            await self._follow_folder(self._path)
        elif self._store is not None:
            await self._follow_store(self._store)

    async def answer(self, question: Question) -> Answer:
        """What a web process asks for somebody."""
        if isinstance(question, Lines):
            return LinesTold(question.lines, RECENT.text(question.pool, question.most))
        return await self.change(question)

    async def change(self, change: EndpointChange) -> EndpointChanged:
        """Make a change that somebody asks for; returns when it is in force everywhere, or could not be."""
        if self._store is None:
            return EndpointChanged(change.change, "in_file", IN_FILE if self._path is not None else NO_STORE)
        if change.document.get("auth_mode") == "aad_token" and self._settings.identity is None:
            return EndpointChanged(change.change, "bad_definition", NO_PROVIDER)
        silent = self._silent(change)
        if silent:
            return EndpointChanged(change.change, "bad_traffic", NOT_READY.format(silent, change.endpoint))
        try:
            number, warnings = await asyncio.to_thread(self._store.change, change)
            await self._renew(self._store)
            return EndpointChanged(change.change, settled=await self._settled(number), warnings=warnings)
        except (BadDefinition, Refusal) as e:
            return EndpointChanged(change.change, e.code, e.text)
        except AccountsUnavailable as e:
            log.error("the endpoints cannot be changed", extra={"reason": str(e)})
            return EndpointChanged(change.change, "store_unavailable")
        except Exception:
            log.exception("a change of an endpoint failed", extra={"request_id": change.request_id})
            return EndpointChanged(change.change, "internal_error")

    def _silent(self, change: EndpointChange) -> str:
        """A deployment that cannot answer, and that this change gives its first traffic; empty if there is none."""
        wanted = change.document.get("traffic") if not change.deployment else None
        if not isinstance(wanted, dict):
            return ""
        for state in self.states:
            if state.name == change.endpoint:
                for one in state.deployments:
                    begins = wanted.get(one.name) and not state.traffic.get(one.name)
                    if begins and (one.model, one.version) not in self._answering:
                        return one.name
        return ""

    async def stop(self) -> None:
        """Take leave of the other servers, and close the store."""
        if self._store is None:
            return
        try:
            if self._servers is not None:
                await asyncio.to_thread(self._servers.leave)
        except AccountsUnavailable:
            pass  # after a while they see by themselves that nothing is said any more
        self._store.close()

    # A folder

    async def _follow_folder(self, path: Path) -> None:
        before = self._read
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = await asyncio.to_thread(_stamp, path)
            if now == before and now != self._read and await self._take_folder(path, now):
                await self._put_into_force()
            before = now

    async def _take_folder(self, path: Path, stamp: Stamp | None) -> bool:
        """Read the folder; whether it says something else than before."""
        self._read = stamp
        try:
            return self._taken(await asyncio.to_thread(folder.read, path))
        except (BadDefinition, OSError) as e:
            reason = e.text if isinstance(e, BadDefinition) else f"the folder of endpoints cannot be read: {e.strerror}"
            self._refuse(reason)
            return False

    # The store

    async def _follow_store(self, store: EndpointStore) -> None:
        while True:
            try:
                if await asyncio.to_thread(store.count) != self._number:
                    await self._renew(store)
                if self._servers is not None:
                    await asyncio.to_thread(self._servers.say, self._in_force, time.monotonic())
                    await asyncio.to_thread(self._servers.behind, 0, time.monotonic())
                self._away = False
            except AccountsUnavailable as e:
                if not self._away:
                    log.error("the store of endpoints is away; they stay as they are", extra={"reason": str(e)})
                self._away = True
            await asyncio.sleep(LOOK_EVERY_S)

    async def _renew(self, store: EndpointStore) -> None:
        """Read the store and put into force what it says, unless somebody has meanwhile."""
        async with self._taking:
            if await self._take_store(store):
                await self._put_into_force()
            self._in_force = self._number

    async def _take_store(self, store: EndpointStore) -> bool:
        """Read the store; whether it says something else than before."""
        try:
            self._number, found = await asyncio.to_thread(store.read)
        except BadDefinition as e:
            self._number = await asyncio.to_thread(store.count)
            self._refuse(e.text)
            return False
        return self._taken(found)

    async def _settled(self, number: int) -> bool:
        """Wait until all servers that live have this change in force; whether they have."""
        if self._servers is None:
            return True
        await asyncio.to_thread(self._servers.say, self._in_force, time.monotonic())
        until = time.monotonic() + FOLLOW_S
        while await asyncio.to_thread(self._servers.behind, number, time.monotonic()):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(LOOK_EVERY_S / 5)
        return True

    # Both

    def _taken(self, found: Definitions) -> bool:
        self._gauges.refused.set(0)
        for warning in found.warnings:
            log.warning("an endpoint's file says what changes nothing", extra={"reason": warning})
        states = states_of(found)
        changed, self.states = states != self.states, states
        return changed

    def _refuse(self, reason: str) -> None:
        log.error("the endpoints cannot be used and stay as they were", extra={"reason": reason})
        self._gauges.refused.set(1)

    async def _put_into_force(self) -> None:
        await self._publish()
        log.info("endpoints changed", extra={"endpoints": [state.name for state in self.states]})


def _stamp(path: Path) -> Stamp | None:
    """What the folder looks like; None while it cannot be looked at."""
    try:
        return folder.stamp(path)
    except (BadDefinition, OSError):
        return None
