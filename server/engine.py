"""The engine: pools and dispatch in one process, without HTTP, accounts and a catalog that others follow.

    async with Engine(settings) as engine:
        await engine.open(files)
        scored = await engine.score(files[0].model_key, Member(b'{"rows": [{"speed": 10}]}'))

What is read, how it is proven, what locks it up and how it answers are those of a server, so an answer has the same
bits. Must not know who asks: `tandem check` does, and whatever scores without a server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Self

from server.catalog.files import ModelFile
from server.config import Settings
from server.dispatch.dispatcher import Dispatcher, Refused, Scored
from server.dispatch.messages import Request
from server.dispatchers import Dispatchers
from server.machine.cgroup import granted_cores
from server.pools.pools import Pools
from server.run_folder import RunFolder
from server.wire.frames import Member
from server.wire.snapshot import Entry, Snapshot

__all__ = ["BodyTooLarge", "CannotStart", "Engine", "Member", "NotServed", "Refused", "Scored"]

TRIES = 3
"""How often workers may fail to start before `open` gives up. The pool waits longer before each try."""


class NotServed(Exception):
    """No model with this key can be called. The text says why."""


class CannotStart(Exception):
    """Models were proven, but workers cannot be started: memory is short, or a file changes all the time."""


class BodyTooLarge(ValueError):
    """The body is larger than TANDEM_MAX_BODY_MB allows. Score its rows in parts."""


class Engine:
    """Holds models in pools of its own and calls them. Make it, and use it, in one running event loop."""

    def __init__(self, settings: Settings, cores: int | None = None, folder: RunFolder | None = None) -> None:
        """`folder` is for sockets and scratch files. By default the engine makes one, which `close` removes."""
        self._settings = settings
        self._folder = folder or RunFolder()
        self._owns_folder = folder is None
        self._pools = Pools(
            self._folder.path,
            settings,
            self._publish,
            on_worker_end=lambda *_: None,
            on_refill=lambda *_: None,
            cores=cores or granted_cores(),
        )
        self._dispatchers = Dispatchers(settings, self._pools.kill)
        self._entries: dict[str, Entry] = {}
        self._serial = 0
        self._publishing = asyncio.Lock()
        self._published = asyncio.Event()
        self._pending: dict[Request, Dispatcher] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self, files: Sequence[ModelFile]) -> None:
        """Hold these models, and no others from now on; returns when each can be called or has been refused.

        Raises CannotStart where their workers end or keep silent at the start, several times in a row.
        The files lie in the model folders of the settings, because the sandbox lets models read nothing else.
        """
        await self._pools.update(files)
        await self._publish()
        failures = 0
        while not self._pools.settled:
            self._published.clear()
            await self._published.wait()
            failures += any(state.reason for state in self._pools.states().values())
            if failures > TRIES:
                raise CannotStart("the model was read and proven, but processes that hold it cannot be started")

    @property
    def entries(self) -> list[Entry]:
        """What has become of each file: `ready` with its description, or `failed` with a code and a reason."""
        return list(self._entries.values())

    async def score(self, model_key: str, member: Member, timeout_s: float | None = None) -> Scored:
        """Have the model with this key (`ModelFile.model_key`) answer one request; `result.code` says whether it could.

        `timeout_s` bounds waiting and call together; None means the model's own limit. Raises NotServed, BodyTooLarge,
        and Refused where no worker answered: it died, there was no time left, or too many requests wait.
        """
        dispatcher, request = self._request(model_key, member, timeout_s)
        self._pending[request] = dispatcher
        try:
            return await dispatcher.score(request)
        except asyncio.CancelledError:
            dispatcher.abandon(request)
            raise
        finally:
            del self._pending[request]

    async def close(self) -> None:
        """End all workers and templates. Requests that wait raise Refused."""
        for request, dispatcher in self._pending.items():
            dispatcher.abandon(request)
        self._dispatchers.close()
        await self._pools.stop()
        if self._owns_folder:
            self._folder.remove()

    def _request(self, model_key: str, member: Member, timeout_s: float | None) -> tuple[Dispatcher, Request]:
        entry = self._entries.get(model_key)
        if entry is None:
            raise NotServed(f"the engine has no model with the key {model_key}; open its file first")
        if entry.state != "ready":
            raise NotServed(f"{entry.name}: {entry.reason or 'it is still being looked at'}")
        size = len(member.body)
        if size > self._settings.max_body_bytes:
            raise BodyTooLarge(f"a body has {size} bytes; TANDEM_MAX_BODY_MB allows {self._settings.max_body_bytes}")
        now = time.monotonic()
        request = Request(
            pool=entry.pool,
            model=entry.name,
            model_key=entry.model_key,
            member=member,
            body_bytes=size,
            deadline=now + (timeout_s or entry.timeout_s or self._settings.timeout_s),
            arrived=now,
            pinned=True,
        )
        return self._dispatchers[entry.pool], request

    async def _publish(self) -> None:
        """Switch to what the pools have now. They retire older workers once this has returned."""
        async with self._publishing:
            self._serial += 1
            snapshot = Snapshot(self._serial, tuple(self._pools.entries()), self._pools.states(), complete=True)
            await self._dispatchers.connect(snapshot)
            self._dispatchers.switch(snapshot)
            self._entries = {entry.model_key: entry for entry in snapshot.entries}
        self._published.set()
