"""The worker: one thread, one call at a time, from the sockets of the web processes to the model and back.

Before each call it empties its sockets, so that batches of several web processes for the same model become one call.
It leaves when it is told to drain (or when the supervisor is gone) and every other connection is closed.
"""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from server.wire import frames
from server.wire.frames import Frame, FrameType, Member, ReplyCode, ReplyPayload, ScorePayload, WireError
from server.workers.refusals import refuse_all

log = logging.getLogger(__name__)

RECEIVE_BYTES = 1 << 20

Score = Callable[[Any, Sequence[Member], int], ReplyPayload]
"""How a runtime's models answer a batch: the model, the requests, the cap of an inflated body in bytes."""


class _Connection:
    def __init__(self, sock: socket.socket, max_payload_bytes: int) -> None:
        self.sock = sock
        self.decoder = frames.FrameDecoder(max_payload_bytes)
        self.supervisor = False


class _Waiting:
    """A received batch that has not been answered yet."""

    __slots__ = ("batch", "connection", "expires", "payload")

    def __init__(self, connection: _Connection, batch: int, payload: ScorePayload, now: float) -> None:
        self.connection = connection
        self.batch = batch
        self.payload = payload
        self.expires = now + payload.time_left_ms / 1000


class WorkerLoop:
    """Serves the given models on a listening Unix socket until drained."""

    def __init__(
        self,
        listener: socket.socket,
        models: Mapping[str, Any],
        score: Score,
        max_payload_bytes: int,
        max_inflated_bytes: int,
    ) -> None:
        self._listener = listener
        self._max_inflated_bytes = max_inflated_bytes
        self._received = memoryview(bytearray(RECEIVE_BYTES))
        self._models = models
        self._score = score
        self._max_payload_bytes = max_payload_bytes
        self._selector = selectors.DefaultSelector()
        self._connections: set[_Connection] = set()
        self._waiting: list[_Waiting] = []
        self._draining = False
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, None)

    def run(self) -> None:
        """Serve until drained."""
        while not (self._draining and all(c.supervisor for c in self._connections)):
            self._empty_sockets(block=not self._waiting)
            if self._waiting:
                self._answer(self._next_batches())

    def _empty_sockets(self, block: bool) -> None:
        for key, _ in self._selector.select(None if block else 0):
            if key.data is None:
                self._accept()
            else:
                self._receive(key.data)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        sock.setblocking(True)
        connection = _Connection(sock, self._max_payload_bytes)
        self._connections.add(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            room = connection.decoder.room()
            size = connection.sock.recv_into(self._received if room is None else room)
            if not size:
                self._drop(connection)
                return
            decoder = connection.decoder
            for frame in decoder.feed(self._received[:size]) if room is None else decoder.filled(size):
                self._take(connection, frame)
        except WireError as e:
            log.error("a peer broke the wire format", extra={"reason": str(e)})
            self._drop(connection)
        except OSError:
            self._drop(connection)

    def _take(self, connection: _Connection, frame: Frame) -> None:
        match frame.type:
            case FrameType.SCORE:
                payload = frames.decode_score(frame.payload)
                self._waiting.append(_Waiting(connection, frame.batch, payload, monotonic()))
            case FrameType.PING:
                connection.supervisor = True
                connection.sock.sendall(frames.encode_frame(FrameType.PONG))
            case FrameType.DRAIN:
                self._draining = True
            case _:
                raise WireError(f"a worker takes no {frame.type.name}")

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.sock)
        connection.sock.close()
        self._connections.discard(connection)
        self._waiting = [w for w in self._waiting if w.connection is not connection]
        if connection.supervisor:
            self._draining = True

    def _next_batches(self) -> list[_Waiting]:
        """The oldest batch and whatever else waits for the same model."""
        key = self._waiting[0].payload.model_key
        together = [w for w in self._waiting if w.payload.model_key == key]
        self._waiting = [w for w in self._waiting if w.payload.model_key != key]
        return together

    def _answer(self, waiting: list[_Waiting]) -> None:
        now = monotonic()
        model = self._models.get(waiting[0].payload.model_key)
        alive = []
        for one in waiting:
            members = one.payload.members
            if model is None:
                self._reply(one, refuse_all(members, ReplyCode.UNKNOWN_MODEL, "this worker does not hold the model"))
            elif one.expires < now:
                self._reply(
                    one, refuse_all(members, ReplyCode.EXPIRED, "the deadline passed before the model was called")
                )
            else:
                alive.append(one)
        if model is None or not alive:
            return
        members = [member for one in alive for member in one.payload.members]
        reply = self._score(model, members, self._max_inflated_bytes)
        start = 0
        for one in alive:
            stop = start + len(one.payload.members)
            self._reply(one, ReplyPayload(reply.decode_s, reply.predict_s, reply.encode_s, reply.results[start:stop]))
            start = stop

    def _reply(self, one: _Waiting, reply: ReplyPayload) -> None:
        if one.connection not in self._connections:
            return
        try:
            one.connection.sock.sendall(frames.encode_reply(one.batch, reply))
        except OSError:
            self._drop(one.connection)
