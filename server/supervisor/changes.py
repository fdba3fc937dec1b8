"""The endpoints in force: what the folder of endpoints says, put into force whole or not at all.

Owns the wanted state, alone, so that no two writers have to agree. Must not know how requests find their way.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import orjson

from server.endpoint_metrics import EndpointGauges
from server.endpoints import folder
from server.endpoints.definition import BadDefinition, Deployment
from server.endpoints.folder import Defined, Definitions, Stamp
from server.wire.snapshot import DeploymentState, EndpointState, Entry

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
"""Seconds between two looks at the folder. Two that see the same are needed, so that no half of a write is read."""
REVISION_DIGITS = 12


class Changes:
    """The endpoints of this server, and their changes."""

    def __init__(self, path: Path | None, publish: Callable[[], Awaitable[None]], gauges: EndpointGauges) -> None:
        """`publish` returns when all web processes have switched."""
        self._path = path
        self._publish = publish
        self._gauges = gauges
        self._read: Stamp | None = None
        self.states: tuple[EndpointState, ...] = ()

    def measure(self, entries: Iterable[Entry]) -> None:
        """Have the metrics tell what is in force; `entries` are all model versions."""
        self._gauges.tell(self.states, entries)

    async def begin(self) -> None:
        """Read the folder for the first time. A bad one is told, and models are served all the same."""
        if self._path is not None:
            await self._take(await asyncio.to_thread(_stamp, self._path))

    async def follow(self) -> None:
        """Put into force what changes, for ever."""
        if self._path is None:
            return
        before = self._read
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = await asyncio.to_thread(_stamp, self._path)
            if now == before and now != self._read and await self._take(now):
                await self._publish()
                log.info("endpoints changed", extra={"endpoints": [state.name for state in self.states]})
            before = now

    async def _take(self, stamp: Stamp | None) -> bool:
        """Read the folder; whether it says something else than before."""
        assert self._path is not None
        self._read = stamp
        try:
            found = await asyncio.to_thread(folder.read, self._path)
        except (BadDefinition, OSError) as e:
            reason = e.text if isinstance(e, BadDefinition) else f"the folder of endpoints cannot be read: {e.strerror}"
            log.error("the endpoints cannot be used and stay as they were", extra={"reason": reason})
            self._gauges.refused.set(1)
            return False
        self._gauges.refused.set(0)
        for warning in found.warnings:
            log.warning("an endpoint's file says what changes nothing", extra={"reason": warning})
        states = states_of(found)
        changed, self.states = states != self.states, states
        return changed


def states_of(found: Definitions) -> tuple[EndpointState, ...]:
    """The definitions as web processes are told of them, by name."""
    return tuple(_state(defined) for _, defined in sorted(found.endpoints.items()))


def _state(defined: Defined) -> EndpointState:
    endpoint = defined.endpoint
    deployments = tuple(_deployment(one) for _, one in sorted(defined.deployments.items()))
    state = EndpointState(
        name=endpoint.name,
        revision="",
        key_header=endpoint.key_header,
        auth_mode=endpoint.auth_mode,
        traffic=dict(sorted(endpoint.traffic.items())),
        deployments=deployments,
        description=endpoint.description,
        tags=endpoint.tags,
    )
    digest = hashlib.sha256(orjson.dumps(state, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return dataclasses.replace(state, revision=digest[:REVISION_DIGITS])


def _deployment(one: Deployment) -> DeploymentState:
    collect = one.collect.to_data() if one.collect is not None else None
    return DeploymentState(
        one.name, one.model.name, one.model.version, one.timeout_s, one.description, one.tags, collect
    )


def _stamp(path: Path) -> Stamp | None:
    """What the folder looks like; None while it cannot be looked at."""
    try:
        return folder.stamp(path)
    except (BadDefinition, OSError):
        return None
