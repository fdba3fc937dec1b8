"""The socket to the supervisor: catalogs come in, confirmations and requests to end a worker go out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import orjson

from server.unix_sockets import address
from server.wire.control import Answer, Confirmed, EndpointChange, EndpointChanged, Kill, Lines, LinesTold, Question
from server.wire.snapshot import Snapshot

SNAPSHOT_MAX_BYTES = 1 << 30
CHANGE_TIMEOUT_S = 40.0
"""How long an answer to a change is waited for: web processes and other servers have 10 s each to follow."""


class Control:
    """This web process's connection to the supervisor."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._numbers = itertools.count(1)

    @property
    def connected(self) -> bool:
        """Whether the supervisor leads this process at present."""
        return self._writer is not None

    async def follow(self, hub: Path, switch: Callable[[Snapshot], Awaitable[None]]) -> None:
        """Hand each catalog to `switch` and confirm it once it is in force, until the supervisor is gone.

        Raises OSError where the socket cannot be reached or breaks.
        """
        with address(hub) as name:
            reader, self._writer = await asyncio.open_unix_connection(name, limit=SNAPSHOT_MAX_BYTES)
        try:
            while line := await reader.readline():
                data = orjson.loads(line)
                if "changed" in data:
                    self._answered(data["changed"], EndpointChanged.from_data(data))
                    continue
                if "told" in data:
                    self._answered(data["told"], LinesTold.from_data(data))
                    continue
                snapshot = Snapshot.from_data(data)
                await switch(snapshot)
                self._send(Confirmed(snapshot.serial))
        finally:
            self.close()
            self._writer = None

    async def change(self, change: EndpointChange) -> EndpointChanged | None:
        """Have the supervisor change an endpoint; None where it does not answer."""
        number = next(self._numbers)
        answer = await self._ask(number, replace(change, change=number))
        return answer if isinstance(answer, EndpointChanged) else None

    async def lines(self, pool: str, most: int) -> str:
        """The newest lines that the model of a pool has written."""
        number = next(self._numbers)
        answer = await self._ask(number, Lines(number, pool, most))
        return answer.text if isinstance(answer, LinesTold) else ""

    async def _ask(self, number: int, question: Question) -> Answer | None:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._send(question)
            async with asyncio.timeout(CHANGE_TIMEOUT_S):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._asked[number]

    def _answered(self, number: int, answer: Answer) -> None:
        asked = self._asked.get(number)
        if asked is not None and not asked.done():
            asked.set_result(answer)

    def kill(self, worker: str, reason: str) -> None:
        """Have the supervisor end a worker."""
        self._send(Kill(worker, reason))

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()

    def _send(self, message: Confirmed | Kill | Question) -> None:
        if self._writer is not None:
            self._writer.write(orjson.dumps(message.to_data()) + b"\n")
