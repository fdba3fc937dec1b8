"""Copies of requests and answers for the recorder: taken from what is there, sent once a turn of the event loop.

Owns what is copied and what becomes of each copy. Must not wait, raise, or parse: live requests come first, and what
the recorder does not take in time is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import orjson

from server.collect_metrics import CollectMetrics, MirrorMetrics
from server.dispatch.dispatcher import Dispatcher, Scored
from server.dispatch.messages import Request
from server.unix_sockets import address
from server.web.scoring.mirror import Mirror
from server.web.scoring.target import Behind
from server.wire.collect import (
    ACKNOWLEDGED,
    LARGEST_BYTES,
    SOCKET,
    Collect,
    Copied,
    Described,
    Kind,
    frame,
    id_of,
    pair_frame,
    request_head,
)
from server.wire.frames import Member, Pieces, ReplyCode
from server.wire.snapshot import Snapshot

log = logging.getLogger(__name__)

BUFFER_BYTES: Final = 16 << 20
"""How much may wait for the recorder, in bytes."""
RETRY_S: Final = 0.1
LARGEST_REPORT_BYTES: Final = 16 << 20
ACKNOWLEDGED_WITHIN_S: Final = 5.0
_TOP: Final = 1 << 32
_SPREAD: Final = 0x9E3779B1
"""An odd number near 2^32 divided by the golden ratio: it spreads ids that differ in their last digit only."""


class _Collected:
    """What is collected of one model version, asked in one way."""

    __slots__ = ("description", "digest", "endpoint", "failures", "model", "outputs", "threshold")

    def __init__(self, described: Described) -> None:
        payload = described.payload()
        collect = described.collect
        self.model, self.endpoint = described.model, described.endpoint
        self.description = frame(Kind.DESCRIPTION, payload)
        self.digest = id_of(payload)
        self.threshold = round(collect.sampling * _TOP)
        self.outputs = collect.outputs
        self.failures = collect.failures


class Collector(asyncio.Protocol):
    """This web process's way to the recorder."""

    def __init__(self, run_dir: Path | None, metrics: CollectMetrics) -> None:
        self.on = False
        """Whether anything is collected. Where nothing is, a request pays for the look at this, and no more."""
        self._socket = None if run_dir is None else run_dir / SOCKET
        self._metrics = metrics
        self._by_key: dict[tuple[str, Behind | None], _Collected] = {}
        self._compared: dict[Behind, _Collected] = {}
        """The deployments of endpoints that have a mirror: their answers are compared, whatever is recorded of them."""
        self.mirror_metrics = MirrorMetrics()
        self._mirror = Mirror(self.mirror_metrics, self)
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._told: set[bytes] = set()
        self._parts: list[bytes] = []
        self._waiting = 0
        self._sent: dict[str, int] = {}

    def switch(self, snapshot: Snapshot, dispatchers: Mapping[str, Dispatcher], timeout_s: float) -> None:
        """Collect what this catalog says, and mirror likewise; no copy may take longer than `timeout_s`."""
        self._by_key = collected(snapshot)
        self._compared = compared(snapshot)
        self._mirror.switch(snapshot, dispatchers, timeout_s)
        self.on = bool(self._by_key) or self._mirror.on
        if self.on and self._socket and self._connecting is None and self._transport is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def close(self) -> None:
        """Send what waits, and send no more."""
        self.on = False
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def add(self, request: Request, behind: Behind | None, code: str, scored: Scored | None) -> None:
        """Copy a request that has been answered, if it is one of those that are collected."""
        self._collect(request, behind, code, scored, False)
        if behind is not None and scored is not None and self._mirror.on:
            self._mirror.offer(request, behind, scored)

    def compared(self, live: Request, by: Behind, said: Scored, copy: Request, of: Behind, answer: Scored) -> None:
        """A copy was answered too: record it, if its deployment is collected, and have both answers compared."""
        self._collect(copy, of, code_of(answer), answer, True)
        one, other = self._compared.get(by), self._compared.get(of)
        size = len(said.result.body) + len(answer.result.body)
        if one is None or other is None or size > LARGEST_BYTES or not self._has_room(size):
            self.mirror_metrics.count(of, "not_compared")
            return
        self._describe(one, other)
        both = (_copy(one, live, said, False), _copy(other, copy, answer, True))
        self._put(pair_frame(*both))

    def _collect(
        self, request: Request, behind: Behind | None, code: str, scored: Scored | None, mirrored: bool
    ) -> None:
        found = self._by_key.get((request.model_key, behind))
        if found is None:
            return
        outcome = self._copied(found, request, code, scored, mirrored)
        if outcome is not None:
            self._metrics.count(found.model, outcome)

    def _has_room(self, size: int) -> bool:
        transport = self._transport
        return transport is not None and self._waiting + size <= BUFFER_BYTES - transport.get_write_buffer_size()

    def _describe(self, *described: _Collected) -> None:
        """Tell the recorder what these are, if it has not been told yet."""
        for one in described:
            if one.digest not in self._told:
                self._told.add(one.digest)
                self._put(one.description)

    def _copied(
        self, found: _Collected, request: Request, code: str, scored: Scored | None, mirrored: bool
    ) -> str | None:
        """Put a copy with what waits; why not, where it is not."""
        member: Member = request.member
        request_id = member.request_id
        is_wanted = found.failures or code == "ok"
        if not is_wanted or (found.threshold != _TOP and zlib.crc32(request_id) * _SPREAD % _TOP >= found.threshold):
            return "not_sampled"
        body = member.body
        result = scored.result if scored is not None else None
        answer = result.body if result is not None and found.outputs and result.code == ReplyCode.OK else b""
        size = len(body) + len(answer)
        if size > LARGEST_BYTES or len(member.parameters) > 0xFFFF:
            return "too_large"
        if self._transport is None:
            return "no_recorder"
        if not self._has_room(size):
            return "buffer_full"
        self._describe(found)
        queue_s, predict_s = (0.0, 0.0) if scored is None else (scored.queue_s, scored.reply.predict_s)
        copied = Copied(
            *(found.digest, time.time(), queue_s, predict_s, result.rows if result is not None else 0),
            *(member.content, member.accept, member.encoding, mirrored),
            *(request_id, code.encode(), member.parameters, b"", answer),
        )
        self._put(request_head(len(body), copied) + request_id + copied.code + member.parameters)
        self._parts += body.pieces if isinstance(body, Pieces) else (cast(bytes, body),)
        self._parts.append(answer)
        self._waiting += size
        self._sent[found.model] = self._sent.get(found.model, 0) + 1
        return None

    def _put(self, data: bytes) -> None:
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(data)
        self._waiting += len(data)

    def _flush(self) -> None:
        """Write what this turn has put together. It is counted first: a process that is killed has sent no more."""
        parts, self._parts, self._waiting = self._parts, [], 0
        sent, self._sent = self._sent, {}
        for model, count in sent.items():
            self._metrics.sent(model, count)
        if parts and self._transport is not None:
            self._transport.write(b"".join(parts))

    async def tell(self, name: str, rows: list[dict[str, Any]]) -> bool | None:
        """Have the recorder keep what turned out to be right; whether it has, None where nothing is collected."""
        found = next((one for one in self._by_key.values() if name in (one.model, one.endpoint)), None)
        if found is None or self._socket is None:
            return None
        told = orjson.dumps({"of": name, "time": time.time(), "rows": rows})
        try:
            with address(self._socket) as socket_name:
                reader, writer = await asyncio.open_unix_connection(socket_name)
            try:
                writer.write(found.description + frame(Kind.TRUTH, found.digest + told))
                return await asyncio.wait_for(reader.read(1), ACKNOWLEDGED_WITHIN_S) == ACKNOWLEDGED
            finally:
                writer.close()
        except (OSError, TimeoutError):
            return False

    async def comparisons(self, endpoint: str) -> list[Any] | None:
        """How the answers of an endpoint's mirror compare with those that callers got; None without a recorder."""
        if self._socket is None:
            return None
        try:
            with address(self._socket) as socket_name:
                reader, writer = await asyncio.open_unix_connection(socket_name, limit=LARGEST_REPORT_BYTES)
            try:
                writer.write(frame(Kind.QUESTION, endpoint.encode()))
                line = await asyncio.wait_for(reader.readline(), ACKNOWLEDGED_WITHIN_S)
                return list(orjson.loads(line)) if line else None
            finally:
                writer.close()
        except (OSError, TimeoutError):
            return None

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._told.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """The recorder is gone; another is being started."""
        self._transport = None
        if self.on:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        assert self._socket is not None
        try:
            while self._transport is None:
                try:
                    with address(self._socket) as name:
                        await asyncio.get_running_loop().create_unix_connection(lambda: self, name)
                except OSError:
                    await asyncio.sleep(RETRY_S)
        finally:
            self._connecting = None


def collected(snapshot: Snapshot) -> dict[tuple[str, Behind | None], _Collected]:
    """What a catalog has collected: by the model's key, and by the deployment where it is asked as one."""
    found: dict[tuple[str, Behind | None], _Collected] = {}
    for entry in snapshot.entries:
        if entry.collect is not None and entry.schema is not None and not entry.remote:
            described = Described(entry.name, entry.version, entry.schema, Collect.from_data(entry.collect))
            found[entry.model_key, None] = _Collected(described)
    if not snapshot.endpoints:
        return found
    ready = {(entry.name, entry.version): entry for entry in snapshot.entries if entry.schema and not entry.remote}
    for endpoint in snapshot.endpoints:
        for one in endpoint.deployments:
            entry_of = ready.get((one.model, one.version))
            settings = one.collect if one.collect is not None or entry_of is None else entry_of.collect
            if entry_of is None or entry_of.schema is None or settings is None:
                continue
            names = endpoint.name, one.name
            described = Described(one.model, one.version, entry_of.schema, Collect.from_data(settings), *names)
            found[entry_of.model_key, Behind(*names)] = _Collected(described)
    return found


def compared(snapshot: Snapshot) -> dict[Behind, _Collected]:
    """The deployments of endpoints that have a mirror."""
    found: dict[Behind, _Collected] = {}
    for endpoint in snapshot.endpoints:
        if not any(endpoint.mirror_traffic.values()):
            continue
        for one in endpoint.deployments:
            wanted = (e for e in snapshot.entries if (e.name, e.version) == (one.model, one.version))
            entry = next((e for e in wanted if e.schema and not e.remote), None)
            if entry is not None and entry.schema is not None:
                behind = Behind(endpoint.name, one.name)
                found[behind] = _Collected(Described(one.model, one.version, entry.schema, Collect(), *behind))
    return found


def code_of(scored: Scored) -> str:
    """How a worker's call ended, as recordings have it."""
    return ReplyCode(scored.result.code).name.lower()


def _copy(of: _Collected, request: Request, scored: Scored, mirrored: bool) -> Copied:
    """A request with its answer, without its body."""
    member: Member = request.member
    result = scored.result
    answer = result.body if result.code == ReplyCode.OK else b""
    times = time.time(), scored.queue_s, scored.reply.predict_s
    forms = member.content, member.accept, member.encoding, mirrored
    texts = member.request_id, code_of(scored).encode(), b"", b"", answer
    return Copied._make((of.digest, *times, result.rows, *forms, *texts))
