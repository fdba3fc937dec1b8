"""The asyncio shell around the dispatch machine: one connection per worker, no task and no future per request.

Requests that arrive in the same turn of the event loop are assigned together at its end, so that a burst becomes one
batch; each worker's batch is one write. Replies are handed on straight from `data_received`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from server.dispatch import replies
from server.dispatch.board import Board
from server.dispatch.messages import Close, Generation, Instruction, Kill, Limits, Refusal, Refuse, Request, Send
from server.dispatch.quarantine import Quarantine
from server.dispatch.state import DispatchState
from server.unix_sockets import address
from server.wire import frames
from server.wire.frames import Frame, FrameType, ReplyPayload, Result, WireError

log = logging.getLogger(__name__)

LATENESS_S = 0.02
LOST_GRACE_S = 1.0
"""A worker whose connection ends has most likely died; if it lives this much longer, it has closed it itself."""


class Refused(Exception):
    """The dispatcher answered without a worker; `refusal` says why, `wait_s` about how long the next would wait."""

    def __init__(self, refusal: Refusal, wait_s: float = 0.0) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.wait_s = wait_s


class Scored:
    """A worker's result for one request, with the times of the batch it was part of (seconds)."""

    __slots__ = ("batch_requests", "queue_s", "reply", "result")

    def __init__(self, result: Result, reply: ReplyPayload, queue_s: float, batch_requests: int) -> None:
        self.result = result
        self.reply = reply
        self.queue_s = queue_s
        self.batch_requests = batch_requests


class Usage(NamedTuple):
    """What a pool's workers are at."""

    workers: int
    busy: int
    """Workers that hold a batch, of whichever web process."""
    waiting: int
    """Requests of one model that wait in this web process."""


class ReplyTo(Protocol):
    """What a request's end is reported to, by one call, which must not raise."""

    def scored(self, scored: Scored) -> None:
        """A worker has answered; the answer may be a failure of the model's."""

    def failed(self, error: Exception) -> None:
        """No worker will answer: Refused says why; any other error is a fault of ours."""


class _Awaited:
    """The end of a request for somebody who awaits it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Scored] = loop.create_future()

    def scored(self, scored: Scored) -> None:
        if not self.future.done():
            self.future.set_result(scored)

    def failed(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Dispatcher:
    """The way from one web process to one pool's workers."""

    def __init__(
        self,
        limits: Limits,
        max_payload_bytes: int,
        kill_worker: Callable[[str, str], None],
        on_batch: Callable[[str, int, float, float, float], None] | None = None,
        board: Board | None = None,
    ) -> None:
        self.state = DispatchState(limits)
        self._max_payload_bytes = max_payload_bytes
        self._kill_worker = kill_worker
        self._on_batch = on_batch
        self._board = board
        self._elsewhere: Mapping[str, str] = {}
        self._looked = 0.0
        self._loop = asyncio.get_running_loop()
        self._links: dict[str, _Link] = {}
        self._quarantine = Quarantine()
        self._assigning = False
        self._watch: asyncio.TimerHandle | None = None

    def submit(self, request: Request) -> None:
        """Queue one request; its `reply_to` is told how it ends. Raises Refused where that is known at once."""
        now = time.monotonic()
        if self._quarantine.holds(request, now):
            raise Refused(Refusal.WORKER_CRASHED)
        barred_s = self._quarantine.bars_s(request, now)
        if barred_s:
            raise Refused(Refusal.CRASHES_TOO_OFTEN, barred_s)
        refusal = self.state.on_submit(request, now)
        if refusal is not None:
            raise Refused(refusal, self.state.wait_s(request.model_key))
        self._assign_soon()
        if self._watch is None:
            self._watch = self._loop.call_later(LATENESS_S, self._on_time)

    def score(self, request: Request) -> Awaitable[Scored]:
        """Queue one request; the awaitable gives its result. Raises Refused, at once or from the awaitable."""
        request.reply_to = reply = _Awaited(self._loop)
        self.submit(request)
        return reply.future

    def abandon(self, request: Request) -> None:
        """Drop a request whose client has gone: it leaves the queue, and its `reply_to` hears of it."""
        if not request.answered:
            self.state.on_abandoned(request)
            request.reply_to.failed(Refused(Refusal.ABANDONED))

    def usage(self, model_key: str) -> Usage:
        """What the workers are at now, and how many requests for one model wait."""
        elsewhere = self._board.busy() if self._board is not None else frozenset()
        return Usage(self.state.workers, len(self.state.busy | elsewhere), self.state.queued(model_key))

    async def connect(self, generation: int, workers: Mapping[str, str]) -> None:
        """Connect a generation's workers, name to socket path; they get nothing before `switch`.

        Workers that cannot be reached are left out: the supervisor sees them die and sends a new list.
        """
        new = [name for name in workers if name not in self._links]
        await asyncio.gather(*(self._connect(name, workers[name], generation) for name in new))

    def switch(self, generation: Generation) -> None:
        """Serve from this generation's workers, in one step."""
        if self._board is not None:
            self._board.know({policy.model: None for policy in generation.models.values()})
        self._carry_out(self.state.on_generation(generation))
        self._assign_soon()

    def close(self) -> None:
        """Close every connection."""
        links, self._links = self._links, {}
        for name, link in links.items():
            link.close()
            self._left(name)
        if self._watch is not None:
            self._watch.cancel()

    async def _connect(self, name: str, path: str, generation: int) -> None:
        link = _Link(self, name, self._max_payload_bytes)
        try:
            with address(Path(path)) as socket_name:
                await self._loop.create_unix_connection(lambda: link, socket_name)
        except OSError:
            log.warning("worker cannot be reached", extra={"worker": name})
            return
        if not link.lost:
            self._links[name] = link
            if self._board is not None:
                self._board.add(name, path)
            self.state.on_worker(name, generation)

    # Events from the links

    def on_reply(self, worker: str, frame: Frame) -> None:
        """A worker's REPLY arrived. Raises WireError if it is not the answer to what the worker was sent."""
        reply = frames.decode_reply(frame.payload)
        now = time.monotonic()
        replies.check(reply, self.state.busy_s(worker, now))
        requests = self.state.on_reply(worker, frame.batch, len(reply.results), reply.predict_s, now)
        if requests is None:
            raise WireError("a reply to a batch that was not sent")
        if self._board is not None:
            self._board.release(worker)
        for request, result in zip(requests, reply.results, strict=True):
            if not request.answered:
                request.answered = True
                request.reply_to.scored(Scored(result, reply, request.sent - request.arrived, len(requests)))
        if self._on_batch is not None:
            self._on_batch(requests[0].model, len(requests), reply.decode_s, reply.predict_s, reply.encode_s)
        self._assign_soon()

    def on_returned(self, worker: str, batch: int) -> None:
        """A worker gave a batch back. Raises WireError if it is not what the worker was sent."""
        instructions = self.state.on_returned(worker, batch)
        if instructions is None:
            raise WireError("the return of a batch that was not sent")
        self._carry_out(instructions)
        self._assign_soon()

    def on_lost(self, worker: str) -> None:
        """A worker's connection has ended."""
        if self._links.pop(worker, None) is not None:
            self._left(worker)
            self._loop.call_later(LOST_GRACE_S, self._kill_worker, worker, "connection")
            self._carry_out(self.state.on_worker_lost(worker))
            self._assign_soon()

    def on_broken(self, worker: str) -> None:
        """A worker does not keep to the wire format: it cannot be trusted with another request."""
        self._kill_worker(worker, "wire")
        self.on_lost(worker)

    # Instructions

    def _assign_soon(self) -> None:
        if not self._assigning:
            self._assigning = True
            self._loop.call_soon(self._assign)

    def _assign(self) -> None:
        self._assigning = False
        now = time.monotonic()
        if self._board is not None and now >= self._looked + LATENESS_S / 2:
            self._looked = now
            self._elsewhere = self._board.busy_long()
        self._carry_out(self.state.assign(now, self._elsewhere))

    def _on_time(self) -> None:
        self._watch = None
        self._carry_out(self.state.on_time(time.monotonic()))
        if self._board is not None and self.state.queued_requests:
            self._assign_soon()  # another process may have got an answer from a worker, which nobody tells
        if not self.state.idle:
            self._watch = self._loop.call_later(LATENESS_S, self._on_time)

    def _carry_out(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Send(worker, batch, model_key, requests):
                    try:
                        self._send(worker, batch, model_key, requests)
                    except Exception as error:
                        self._fail(worker, requests, error)
                case Refuse(request, refusal):
                    if refusal is Refusal.WORKER_CRASHED:
                        self._quarantine.add(request, time.monotonic())
                    request.reply_to.failed(Refused(refusal, self.state.wait_s(request.model_key)))
                case Kill(worker, reason):
                    self._kill_worker(worker, reason)
                case Close(worker):
                    link = self._links.pop(worker, None)
                    if link is not None:
                        link.close()
                        self._left(worker)

    def _left(self, worker: str) -> None:
        if self._board is not None:
            self._board.drop(worker)

    def _send(self, worker: str, batch: int, model_key: str, requests: list[Request]) -> None:
        left_s = min(r.deadline for r in requests) - time.monotonic()
        members = [r.member for r in requests]
        parts = frames.score_parts(batch, model_key, max(0, int(left_s * 1000)), members)
        self._links[worker].send(parts)
        if self._board is not None:
            self._board.hold(worker, requests[0].model)

    def _fail(self, worker: str, requests: list[Request], error: Exception) -> None:
        """Fail the requests of a batch that could not be sent, with what was raised. The worker is not at fault."""
        for request in [r for r in requests if not r.answered]:
            request.answered = True
            request.reply_to.failed(error)
        link = self._links.get(worker)
        self.on_broken(worker)  # it may have been sent a part
        if link is not None:
            link.close()


class _Link(asyncio.Protocol):
    """The connection to one worker."""

    def __init__(self, dispatcher: Dispatcher, name: str, max_payload_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._name = name
        self._decoder = frames.FrameDecoder(max_payload_bytes)
        self._transport: asyncio.Transport | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its bases

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                match frame.type:
                    case FrameType.REPLY:
                        self._dispatcher.on_reply(self._name, frame)
                    case FrameType.RETURN:
                        self._dispatcher.on_returned(self._name, frame.batch)
                    case _:
                        raise WireError(f"a worker sent {frame.type.name}")
        except WireError as e:
            log.error("worker broke the wire format", extra={"worker": self._name, "reason": str(e)})
            self._dispatcher.on_broken(self._name)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._dispatcher.on_lost(self._name)

    def send(self, parts: list[bytes | memoryview]) -> None:
        assert self._transport is not None
        if sum(map(len, parts)) > frames.LARGE_BYTES:
            self._transport.writelines(parts)  # not joined: that would copy the body once more
        else:
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        assert self._transport is not None
        self._transport.abort()
