"""The loop over its sockets, with a model that is a function of this test: who is answered, dropped or asked."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from server.wire import frames
from server.wire.frames import Frame, FrameType, Member, ReplyCode, ReplyPayload, Result
from server.workers import loop as loop_module
from server.workers.loop import SocketsLost, WorkerLoop
from tests.harness.tandem import eventually

CAP = 1 << 26
KEY = "m"


class Upkeep:
    """Says that the worker is worn, or not; counts."""

    def __init__(self) -> None:
        self.worn = False
        self.calls = 0
        self.rests = 0

    def called(self) -> bool:
        self.calls += 1
        return self.worn

    def on_idle(self) -> bool:
        self.rests += 1
        return self.worn


class Watch:
    """Says that a call has changed the process, if it was that one."""

    def __init__(self) -> None:
        self.changed_by_call = 0
        self.entered: list[str] = []

    def enter(self, key: str) -> None:
        self.entered.append(key)

    def left(self, key: str) -> str | None:
        return "the locale" if len(self.entered) == self.changed_by_call else None


class Serving:
    """A loop in a thread, and peers that talk to it."""

    def __init__(self, folder: Path, score: Callable[..., ReplyPayload]) -> None:
        self.path = folder / "worker.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.upkeep = Upkeep()
        upkeep: Any = self.upkeep
        self.watch = Watch()
        watch: Any = self.watch
        self.loop = WorkerLoop(self.listener, {KEY: "a model"}, score, CAP, CAP, upkeep, watch)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.peers: list[Peer] = []
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run()
        except SocketsLost as error:
            self.error = error

    def peer(self) -> Peer:
        self.peers.append(Peer(self.path))
        return self.peers[-1]

    def end(self) -> None:
        for peer in self.peers:
            peer.socket.close()
        if self.thread.is_alive():
            with Peer(self.path).socket as last:
                last.sendall(frames.encode_frame(FrameType.DRAIN))
        self.thread.join(10)
        assert not self.thread.is_alive()
        for connection in self.loop._connections:
            connection.sock.close()
        self.loop._selector.close()
        self.listener.close()


class Peer:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self._decoder = frames.FrameDecoder(CAP)

    def ask(self, batch: int) -> None:
        self.socket.sendall(frames.encode_score(batch, KEY, 10_000, [Member(b"{}")]))

    def hear(self) -> Frame:
        while not (got := self._decoder.feed(self.socket.recv(1 << 20))):
            pass
        [frame] = got
        return frame


def answered(size: int = 2) -> Callable[..., ReplyPayload]:
    def score(model: object, members: Sequence[Member], cap: int) -> ReplyPayload:
        return ReplyPayload(0.0, 0.0, 0.0, [Result(ReplyCode.OK, 1, b"x" * size)] * len(members))

    return score


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    made: list[Serving] = []

    def make(score: Callable[..., ReplyPayload]) -> Serving:
        made.append(Serving(tmp_path, score))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_a_worn_worker_asks_the_supervisor_once_and_serves_on(serving: Callable[..., Serving]) -> None:
    one = serving(answered())
    supervisor, web = one.peer(), one.peer()
    supervisor.socket.sendall(frames.encode_frame(FrameType.PING))
    assert supervisor.hear().type is FrameType.PONG
    one.upkeep.worn = True
    for batch in range(3):
        web.ask(batch)
        assert web.hear().batch == batch
    assert supervisor.hear().type is FrameType.RECYCLE
    supervisor.socket.sendall(frames.encode_frame(FrameType.PING))
    assert supervisor.hear().type is FrameType.PONG


def test_a_worker_that_a_call_has_changed_answers_it_says_so_once_and_gives_back_all_that_comes(
    serving: Callable[..., Serving],
) -> None:
    one = serving(answered())
    supervisor, web, other = one.peer(), one.peer(), one.peer()
    supervisor.socket.sendall(frames.encode_frame(FrameType.PING))
    assert supervisor.hear().type is FrameType.PONG
    one.watch.changed_by_call = 2
    for batch in (1, 2):
        web.ask(batch)
        assert web.hear().type is FrameType.REPLY
    told = supervisor.hear()
    assert (told.type, frames.decode_changed(told.payload)) == (FrameType.CHANGED, (KEY, "the locale"))
    for peer, batch in ((web, 3), (other, 4), (web, 5)):
        peer.ask(batch)
        assert peer.hear()[:2] == (FrameType.RETURN, batch)
    assert (one.watch.entered, one.upkeep.calls) == ([KEY, KEY], 2)
    supervisor.socket.sendall(frames.encode_frame(FrameType.PING))
    assert supervisor.hear().type is FrameType.PONG


def test_a_worker_rests_once_after_its_calls(serving: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "REST_AFTER_S", 0.01)
    one = serving(answered())
    web = one.peer()
    for rests in (1, 2):
        web.ask(1)
        web.hear()
        eventually(lambda wanted=rests: one.upkeep.rests == wanted)
    assert one.upkeep.calls == 2


def test_a_web_process_that_takes_no_answer_is_dropped_and_others_are_answered(
    serving: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "SEND_TIMEOUT", loop_module.struct.pack("ll", 0, 50_000))
    one = serving(answered(4 << 20))
    stuck, web = one.peer(), one.peer()
    stuck.ask(1)
    web.ask(2)
    received = 0
    while received < 4 << 20:
        received += len(web.socket.recv(1 << 20))
    while stuck.socket.recv(1 << 20):  # what fitted, and then the end
        pass


def test_a_model_that_is_out_of_memory_outside_of_its_own_code_is_an_answer(serving: Callable[..., Serving]) -> None:
    def score(model: object, members: Sequence[Member], cap: int) -> ReplyPayload:
        raise MemoryError

    one = serving(score)
    web = one.peer()
    web.ask(1)
    [result] = frames.decode_reply(web.hear().payload).results
    assert result.code == ReplyCode.MODEL_FAILED
    assert b"TANDEM_WORKER_MEMORY_MB" in result.body


def test_a_loop_whose_sockets_a_model_closed_ends(serving: Callable[..., Serving]) -> None:
    def score(model: object, members: Sequence[Member], cap: int) -> ReplyPayload:
        elsewhere = os.dup(one.listener.fileno())
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, one.listener.fileno())  # the number is in use, but by something else
        os.close(null)
        os.close(elsewhere)
        return answered()(model, members, cap)

    one = serving(score)
    web = one.peer()
    web.ask(1)
    eventually(lambda: one.error is not None)
