"""The dispatcher's shell over real Unix sockets, against workers written by hand that speak the wire format."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server.dispatch import dispatcher
from server.dispatch.dispatcher import Dispatcher, Refused, Scored
from server.dispatch.messages import Generation, Limits, ModelPolicy, Refusal, Request
from server.wire.frames import (
    Frame,
    FrameDecoder,
    FrameType,
    Member,
    ReplyCode,
    ReplyPayload,
    Result,
    ScorePayload,
    decode_score,
    encode_frame,
    encode_reply,
)

CAP = 1 << 20
WAIT_S = 5.0


class FakeWorker:
    """A worker under a test's thumb: it keeps what it gets and answers only when told to."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[tuple[Frame, ScorePayload]] = asyncio.Queue()
        self.left = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def listen(self, path: Path) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(path))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        decoder = FrameDecoder(CAP)
        while data := await reader.read(CAP):
            for frame in decoder.feed(data):
                assert frame.type is FrameType.SCORE
                self.arrived.put_nowait((frame, decode_score(frame.payload)))
        self.left.set()
        writer.close()

    async def batch(self) -> tuple[Frame, ScorePayload]:
        return await asyncio.wait_for(self.arrived.get(), WAIT_S)

    def say(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    def answer(self, frame: Frame, score: ScorePayload) -> None:
        """Each body comes back with its bytes in reverse."""
        results = [Result(ReplyCode.OK, 1, member.body[::-1]) for member in score.members]
        self.say(encode_reply(frame.batch, ReplyPayload(0.1, 0.2, 0.3, results)))

    async def answer_next(self) -> None:
        self.answer(*await self.batch())

    def crash(self) -> None:
        assert self._writer is not None
        self._writer.close()

    def stop(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._server is not None:
            self._server.close()


class Stage:
    """A dispatcher, its workers, and what it asked for."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._folder = folder
        self.workers: dict[str, FakeWorker] = {}
        self.kills: list[tuple[str, str]] = []
        self.batches: list[tuple[str, int, float, float, float]] = []
        self.dispatcher = Dispatcher(
            limits or Limits(),
            CAP,
            kill_worker=lambda worker, reason: self.kills.append((worker, reason)),
            on_batch=lambda *batch: self.batches.append(batch),
        )

    async def connect(self, number: int, *names: str) -> list[FakeWorker]:
        """Connect these workers as a generation's, new ones where there are none of that name."""
        for name in set(names) - set(self.workers):
            self.workers[name] = FakeWorker()
            await self.workers[name].listen(self._folder / name)
        await self.dispatcher.connect(number, {name: str(self._folder / name) for name in names})
        return [self.workers[name] for name in names]

    def switch(self, number: int, key: str) -> None:
        """Have a generation serve one model."""
        self.dispatcher.switch(Generation("r", number, {key: ModelPolicy(key.partition("/")[0], 1024)}))

    async def generation(self, number: int, *names: str, key: str = "a/1") -> list[FakeWorker]:
        """Connect these workers and have them serve."""
        connected = await self.connect(number, *names)
        self.switch(number, key)
        return connected

    def submit(self, *bodies: bytes, key: str = "a/1", timeout_s: float = WAIT_S) -> asyncio.Future[list[Scored]]:
        """Submit them in one turn of the loop; what all of them together give."""
        now = time.monotonic()
        return asyncio.gather(
            *(
                self.dispatcher.score(Request("r", "a", key, Member(body), len(body), now + timeout_s, now))
                for body in bodies
            )
        )

    def stop(self) -> None:
        self.dispatcher.close()
        for worker in self.workers.values():
            worker.stop()


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Run a scene on a stage of its own."""

    def run(scene: Callable[[Stage], Awaitable[None]], limits: Limits | None = None) -> None:
        async def on_stage() -> None:
            stage = Stage(tmp_path, limits)
            try:
                await asyncio.wait_for(scene(stage), 2 * WAIT_S)
            finally:
                stage.stop()

        asyncio.run(on_stage())

    return run


Play = Callable[..., None]


def bodies(scored: list[Scored]) -> list[bytes]:
    return [one.result.body for one in scored]


def test_a_burst_in_one_turn_of_the_loop_is_one_frame(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        [worker] = await stage.generation(1, "w")
        replies = stage.submit(b"one", b"two", b"three")
        frame, score = await worker.batch()
        assert score.model_key == "a/1"
        assert [m.body for m in score.members] == [b"one", b"two", b"three"]
        assert 0 < score.time_left_ms <= WAIT_S * 1000
        worker.answer(frame, score)
        await replies
        assert worker.arrived.empty()

    play(scene)


def test_replies_resolve_in_the_order_of_the_requests(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        [worker] = await stage.generation(1, "w")
        replies = stage.submit(b"one", b"two", b"three")
        await worker.answer_next()
        scored = await replies
        assert bodies(scored) == [b"eno", b"owt", b"eerht"]
        assert {(s.batch_requests, s.reply.decode_s, s.reply.predict_s, s.reply.encode_s) for s in scored} == {
            (3, 0.1, 0.2, 0.3)
        }
        assert all(0 <= s.queue_s < WAIT_S for s in scored)
        assert stage.batches == [("a", 3, 0.1, 0.2, 0.3)]

    play(scene)


def test_what_arrives_while_the_worker_is_busy_becomes_the_next_frame(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        [worker] = await stage.generation(1, "w")
        first = stage.submit(b"1")
        busy = await worker.batch()
        later = [stage.submit(b"2"), stage.submit(b"3")]
        worker.answer(*busy)
        await worker.answer_next()
        assert [bodies(r) for r in [await first, *[await one for one in later]]] == [[b"1"], [b"2"], [b"3"]]
        assert [requests for _, requests, *_ in stage.batches] == [1, 2]

    play(scene)


def test_a_full_queue_refuses_at_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.generation(1, "w")
        stage.submit(b"1").add_done_callback(lambda done: done.cancelled() or done.exception())
        with pytest.raises(Refused) as refused:
            stage.submit(b"2")
        assert refused.value.refusal is Refusal.QUEUE_FULL

    play(scene, Limits(queue_max_requests=1))


def test_a_worker_that_closes_its_socket_has_its_requests_retried_elsewhere(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        bad, good = await stage.generation(1, "bad", "good")
        replies = stage.submit(b"one", b"two")
        await bad.batch()
        bad.crash()
        for expected in (b"one", b"two"):
            frame, score = await good.batch()
            assert [m.body for m in score.members] == [expected]
            good.answer(frame, score)
        assert bodies(await replies) == [b"eno", b"owt"]
        assert stage.kills == []

    play(scene)


def test_a_request_that_loses_two_workers_is_refused(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        replies_of = await stage.generation(1, "bad", "worse")
        reply = stage.submit(b"poison")
        for worker in replies_of:
            await worker.batch()
            worker.crash()
        with pytest.raises(Refused) as refused:
            await reply
        assert refused.value.refusal is Refusal.WORKER_CRASHED

    play(scene)


def wrong_answer(frame: Frame) -> bytes:
    return encode_reply(frame.batch, ReplyPayload(0, 0, 0, [Result(ReplyCode.OK, 1, b"")]))


GARBAGE: dict[str, Callable[[Frame], bytes]] = {
    "no frame": lambda frame: b"HTTP/1.1 200 OK\r\n\r\n",
    "a frame that workers do not send": lambda frame: encode_frame(FrameType.PONG),
    "a payload that does not add up": lambda frame: encode_frame(FrameType.REPLY, frame.batch, b"abc"),
    "a reply to a batch that was not sent": lambda frame: wrong_answer(Frame(frame.type, frame.batch + 1, b"")),
    "a reply with too few results": wrong_answer,
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_from_a_worker_has_it_killed_and_its_requests_retried(
    play: Play, garbage: Callable[[Frame], bytes]
) -> None:
    async def scene(stage: Stage) -> None:
        bad, good = await stage.generation(1, "bad", "good")
        replies = stage.submit(b"one", b"two")
        frame, _ = await bad.batch()
        bad.say(garbage(frame))
        await good.answer_next()
        await good.answer_next()
        assert bodies(await replies) == [b"eno", b"owt"]
        assert stage.kills == [("bad", "wire")]
        await asyncio.wait_for(bad.left.wait(), WAIT_S)

    play(scene)


def test_a_deadline_is_answered_on_time_and_the_busy_worker_killed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        [worker] = await stage.generation(1, "w")
        reply = stage.submit(b"slow", timeout_s=0.05)
        busy = await worker.batch()
        with pytest.raises(Refused) as refused:
            await reply
        assert refused.value.refusal is Refusal.DEADLINE
        assert stage.kills == [("w", "deadline")]
        worker.answer(*busy)
        worker.crash()

    play(scene, Limits(kill_after_s=0.0))


def test_a_reply_after_the_deadline_is_ignored_and_the_worker_goes_on(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        [worker] = await stage.generation(1, "w")
        late = stage.submit(b"late", timeout_s=0.05)
        busy = await worker.batch()
        with pytest.raises(Refused):
            await late
        worker.answer(*busy)
        next_one = stage.submit(b"next")
        await worker.answer_next()
        assert bodies(await next_one) == [b"txen"]
        assert stage.kills == []

    play(scene, Limits(kill_after_s=60.0))


def test_a_caller_that_went_away_takes_nothing_with_it(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        [worker] = await stage.generation(1, "w")
        gone, here = stage.submit(b"gone"), stage.submit(b"here")
        busy = await worker.batch()
        gone.cancel()
        worker.answer(*busy)
        assert bodies(await here) == [b"ereh"]

    play(scene)


def test_a_switch_moves_new_requests_and_closes_the_old_connection_after_its_reply(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        [old] = await stage.generation(1, "old")
        before = stage.submit(b"before")
        busy = await old.batch()
        [new] = await stage.generation(2, "new", key="a/2")
        after = stage.submit(b"after", key="a/2")
        await new.answer_next()
        assert bodies(await after) == [b"retfa"]
        assert not old.left.is_set()
        old.answer(*busy)
        assert bodies(await before) == [b"erofeb"]
        await asyncio.wait_for(old.left.wait(), WAIT_S)

    play(scene)


def test_a_connected_worker_gets_nothing_before_the_switch(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        [old] = await stage.generation(1, "old")
        [new] = await stage.connect(2, "new")
        before = stage.submit(b"before")
        await old.answer_next()
        assert bodies(await before) == [b"erofeb"]
        waiting = stage.submit(b"1")
        busy = await old.batch()
        moved = stage.submit(b"2")
        stage.switch(2, "a/2")
        old.crash()
        await new.answer_next()
        await new.answer_next()
        assert sorted(bodies(await waiting) + bodies(await moved)) == [b"1", b"2"]
        assert busy[1].model_key == "a/1"

    play(scene)


def test_a_worker_that_cannot_be_reached_is_left_out(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.dispatcher.connect(1, {"ghost": "/nowhere/at/all.sock"})
        stage.switch(1, "a/1")
        assert stage.dispatcher.state.workers == 0
        [worker] = await stage.generation(1, "w")
        reply = stage.submit(b"abc")
        await worker.answer_next()
        assert bodies(await reply) == [b"cba"]

    play(scene)


def test_requests_without_a_worker_wait_for_one(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.generation(1)
        reply = stage.submit(b"abc")
        [worker] = await stage.generation(1, "w")
        await worker.answer_next()
        assert bodies(await reply) == [b"cba"]

    play(scene)


def test_without_any_worker_the_deadline_says_so(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.generation(1)
        with pytest.raises(Refused) as refused:
            await stage.submit(b"abc", timeout_s=0.05)
        assert refused.value.refusal is Refusal.NO_WORKER

    play(scene)


def test_an_abandoned_request_is_told_and_leaves_the_queue(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        stage.switch(1, "a/1")
        now = time.monotonic()
        request = Request("r", "a", "a/1", Member(b"x"), 1, now + WAIT_S, now)
        scored = stage.dispatcher.score(request)
        stage.dispatcher.abandon(request)
        with pytest.raises(Refused) as refused:
            await scored
        assert refused.value.refusal is Refusal.ABANDONED
        assert stage.dispatcher.state.idle

    play(scene)


def test_a_body_that_has_ended_two_workers_is_refused_for_a_while(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        stage.switch(1, "a/1")
        asked = stage.submit(b"bad")
        for name in ("w1", "w2"):
            [worker] = await stage.generation(1, name)
            await worker.batch()
            worker.crash()
        with pytest.raises(Refused):
            await asked
        [worker] = await stage.generation(1, "w3")
        with pytest.raises(Refused) as refused:
            await stage.submit(b"bad")
        assert refused.value.refusal is Refusal.WORKER_CRASHED
        good = stage.submit(b"good")
        await worker.answer_next()
        assert bodies(await good) == [b"doog"]

    play(scene)


def test_a_worker_that_closes_its_connection_and_lives_is_killed(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "LOST_GRACE_S", 0.01)

    async def scene(stage: Stage) -> None:
        [worker] = await stage.generation(1, "w")
        asked = stage.submit(b"x")
        await worker.batch()
        worker.crash()
        while not stage.kills:
            await asyncio.sleep(0.005)  # polls: `play` bounds it
        assert stage.kills == [("w", "connection")]
        asked.cancel()

    play(scene)


def test_our_own_end_has_no_worker_killed(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "LOST_GRACE_S", 0.0)

    async def scene(stage: Stage) -> None:
        [worker] = await stage.generation(1, "w")
        stage.dispatcher.close()
        await asyncio.wait_for(worker.left.wait(), WAIT_S)
        assert stage.kills == []

    play(scene)
