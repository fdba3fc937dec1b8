"""The worker: one thread, one call at a time, from the sockets of the web processes to the model and back.

Before each call it empties its sockets, so that batches of several web processes for the same model become one call.
It leaves when it is told to drain (or when the supervisor is gone) and every other connection is closed. A worker that
is worn asks the supervisor once to be replaced and serves on meanwhile. One that a model has changed for the others
(`server/workers/traces.py`) says so, and gives back unanswered whatever it holds and gets from then on.

Models do what they like, so it is looked at after each call whether this is still the process it was: a child that a
model forked does not come back here, and a worker whose sockets were closed under it ends and is replaced.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from server.wire import frames
from server.wire.frames import Frame, FrameType, Member, ReplyPayload, ScorePayload, WireError
from server.workers.errors import Expired, UnknownModel, request_error
from server.workers.refusals import refuse_all
from server.workers.traces import Watch
from server.workers.upkeep import Upkeep

log = logging.getLogger(__name__)

RECEIVE_BYTES = 1 << 20
SEND_TIMEOUT = struct.pack("ll", 5, 0)
"""How long to wait for a web process that takes nothing, in seconds and microseconds."""
REST_AFTER_S = 1.0

Score = Callable[[Any, Sequence[Member], int], ReplyPayload]
"""How a runtime's models answer a batch: the model, the requests, the cap of an inflated body in bytes."""


class SocketsLost(Exception):
    """A model has closed this worker's descriptors: nobody can talk to it any more."""


class _Connection:
    def __init__(self, sock: socket.socket, max_payload_bytes: int) -> None:
        self.sock = sock
        self.decoder = frames.FrameDecoder(max_payload_bytes)
        self.supervisor = False
        self._identity = _identity(sock)

    def intact(self) -> bool:
        """Whether the descriptor still is the socket."""
        return _identity(self.sock) == self._identity


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
        upkeep: Upkeep,
        watch: Watch | None = None,
    ) -> None:
        self._listener = listener
        self._listening = _identity(listener)
        self._pid = os.getpid()
        self._upkeep = upkeep
        self._watch = watch
        self._changed = False
        """Whether a model has changed this process for the others."""
        self._rested = True
        self._asked_to_leave = False
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
            if self._waiting:
                self._empty_sockets(0)
            elif not self._empty_sockets(None if self._rested else REST_AFTER_S):
                self._rest()
            if self._waiting:
                self._serve()

    def _serve(self) -> None:
        if self._changed:
            self._give_back()
            return
        together = self._next_batches()
        model_key = together[0].payload.model_key
        if self._watch is not None:
            self._watch.enter(model_key)
        self._answer(together)
        changed = self._watch.left(model_key) if self._watch is not None else None
        if changed is not None:
            log.warning("a model has changed its process", extra={"model": model_key, "reason": changed})
            self._changed = True
            self._tell_supervisor(frames.encode_changed(model_key, changed))

    def _give_back(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if one.connection in self._connections:
                self._send(one.connection, frames.encode_frame(FrameType.RETURN, one.batch))

    def _rest(self) -> None:
        self._rested = True
        if self._upkeep.on_idle():
            self._ask_to_leave()

    def _ask_to_leave(self) -> None:
        if self._asked_to_leave:
            return
        self._asked_to_leave = True
        self._tell_supervisor(frames.encode_frame(FrameType.RECYCLE))

    def _tell_supervisor(self, frame: bytes) -> None:
        for connection in [c for c in self._connections if c.supervisor]:
            self._send(connection, frame)

    def _empty_sockets(self, timeout_s: float | None) -> bool:
        """Take in what has come, or what comes within the timeout. True if there was anything."""
        ready = self._selector.select(timeout_s)
        for key, _ in ready:
            if key.data is None:
                self._accept()
            elif key.data in self._connections:  # else it was dropped a moment ago
                self._receive(key.data)
        return bool(ready)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        sock.setblocking(True)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SEND_TIMEOUT)
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
        model_key = self._waiting[0].payload.model_key
        together = [w for w in self._waiting if w.payload.model_key == model_key]
        self._waiting = [w for w in self._waiting if w.payload.model_key != model_key]
        return together

    def _answer(self, waiting: list[_Waiting]) -> None:
        now = monotonic()
        model = self._models.get(waiting[0].payload.model_key)
        alive = []
        for one in waiting:
            members = one.payload.members
            if model is None:
                self._reply(one, refuse_all(members, UnknownModel("this worker does not hold the model")))
            elif one.expires < now:
                self._reply(one, refuse_all(members, Expired("the deadline passed before the model was called")))
            else:
                alive.append(one)
        if model is None or not alive:
            return
        members = [member for one in alive for member in one.payload.members]
        reply = self._scored(model, members)
        start = 0
        for one in alive:
            stop = start + len(one.payload.members)
            self._reply(one, ReplyPayload(reply.decode_s, reply.predict_s, reply.encode_s, reply.results[start:stop]))
            start = stop
        self._rested = False
        if self._upkeep.called():
            self._ask_to_leave()

    def _scored(self, model: Any, members: list[Member]) -> ReplyPayload:
        try:
            return self._score(model, members, self._max_inflated_bytes)
        except MemoryError as e:
            return refuse_all(members, request_error(e))
        finally:
            if os.getpid() != self._pid:
                os._exit(0)
            if _identity(self._listener) != self._listening or not all(c.intact() for c in self._connections):
                raise SocketsLost

    def _reply(self, one: _Waiting, reply: ReplyPayload) -> None:
        if one.connection in self._connections:
            self._send(one.connection, frames.encode_reply(one.batch, reply))

    def _send(self, connection: _Connection, frame: bytes) -> None:
        try:
            connection.sock.sendall(frame)
        except OSError:
            self._drop(connection)


def _identity(sock: socket.socket) -> tuple[int, int] | None:
    try:
        about = os.fstat(sock.fileno())
    except OSError:
        return None
    return about.st_dev, about.st_ino
