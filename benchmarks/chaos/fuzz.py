"""Requests that fit the API's document and requests that do not, by the thousand; garbage on the wire format."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.chaos.checks import NONE
from benchmarks.chaos.stage import CARS, asked_of_cars, stage
from benchmarks.harness import ROOT, Bar, Bench, BenchmarkError, Figure, Measured
from server.dispatch.dispatcher import Dispatcher, Refused
from server.dispatch.messages import Generation, Limits, ModelPolicy, Request
from server.wire import frames
from server.wire.frames import FrameDecoder, FrameType, Member, ReplyCode, ReplyPayload, Result

FUZZ_TEST = "tests/server/web/test_openapi_fuzz.py"
EXAMPLES = 330
"""Of each kind for each operation; together more than 10,000."""
CASES = 10_000

CAP = 1 << 20
REQUEST_S = 0.2
"""Deadline of a request to workers that may say nothing."""
DISPATCHERS = 4
PATIENCE_S = 0.05


def fuzz(bench: Bench) -> Measured:
    """Schemathesis, by the very test that `make test` runs with few examples: no 5xx, nothing undocumented."""
    report = bench.folder("fuzz") / "report.xml"
    examples = bench.pick(EXAMPLES, 20)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "junit_family=xunit1",
            f"--junitxml={report}",
            FUZZ_TEST,
        ],
        cwd=ROOT,
        env=os.environ | {"FUZZ_EXAMPLES": str(examples)},
        capture_output=True,
        text=True,
    )
    if not report.exists():
        raise BenchmarkError(f"the fuzz tests did not run: {done.stdout[-2000:]} {done.stderr[-2000:]}")
    tree = ElementTree.parse(report)
    answered: Counter[str] = Counter()
    for found in tree.iter("property"):
        answered[found.attrib["name"].removeprefix("answered ")] += int(found.attrib["value"])
    failed = [test.attrib["name"] for test in tree.iter("testcase") if test.find("failure") is not None]
    return Measured(
        [
            Figure("fuzzed API: cases", [answered.total()], "", Bar(">=", CASES) if not bench.quick else None),
            Figure(
                "fuzzed API: 5xx",
                [sum(n for status, n in answered.items() if status.startswith("5"))],
                "",
                NONE,
            ),
            Figure("fuzzed API: operations that answered what they do not document", [len(failed)], "", NONE),
        ],
        {"fuzz": {"answered": answered, "failed": failed, "said": done.stdout[-4000:] if failed else ""}},
    )


def wire(bench: Bench) -> Measured:
    """Garbage to workers on their sockets, and garbage to a dispatcher from what it takes for workers, at once."""
    seconds = bench.pick(300.0, 2.5)
    with stage(bench, "wire", {"cars": CARS}) as tandem:
        one = asked_of_cars(tandem, "cars")
        workers = tandem.processes("worker")
        [body] = one.answers
        version = body.decode().partition('"version":"')[2].partition('"')[0]
        outcome = asyncio.run(_fuzz_wire(sorted(tandem.temporary.rglob("*.sock")), f"cars/{version}", seconds, bench))
        died = len(set(workers) - set(tandem.processes("worker")))
        with tandem.connect() as connection:
            wrong = sum(connection.send(one.request).body not in one.answers for _ in range(20))
    return Measured(
        [
            Figure("garbage to workers: workers that died of it", [died], "", NONE),
            Figure("garbage to workers: wrong answers afterwards", [wrong], "", NONE),
            Figure("garbage to workers: streams", [outcome["streams"]], ""),
            Figure("garbage from workers: requests without an end", [outcome["endless"]], "", NONE),
            Figure("garbage from workers: errors in the web process", [outcome["errors"]], "", NONE),
            Figure("garbage from workers: the good worker was not asked again", [outcome["not served"]], "", NONE),
            Figure("garbage from workers: requests", [outcome["requests"]], ""),
        ],
        {"wire": dict(outcome)},
    )


def garbage(chance: random.Random, valid: bytes) -> bytes:
    """Random bytes, or a valid frame that is cut off, changed in some bytes, or lies about its length."""
    match chance.randrange(5):
        case 0:
            return chance.randbytes(chance.choice((1, 12, 100, 5000)))
        case 1:
            return valid[: chance.randrange(1, len(valid))]
        case 2:
            return valid[:8] + chance.randbytes(4) + valid[12:]
        case 3:
            return valid[: frames.HEADER.size] + chance.randbytes(len(valid) - frames.HEADER.size)
    changed = bytearray(valid)
    for _ in range(chance.choice((1, 2, 8))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


async def _fuzz_wire(sockets: list[Path], key: str, seconds: float, bench: Bench) -> Counter[str]:
    outcome: Counter[str] = Counter()

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        outcome["errors"] += 1
        outcome[f"error: {context.get('exception')!r}"] += 1

    asyncio.get_running_loop().set_exception_handler(note)
    end = time.monotonic() + seconds
    folder = bench.folder("wire-fakes")
    await asyncio.gather(
        _to_workers(sockets, key, end, outcome),
        *(_to_dispatcher(folder / str(number), number, end, outcome) for number in range(DISPATCHERS)),
    )
    return outcome


async def _to_workers(sockets: list[Path], key: str, end: float, outcome: Counter[str]) -> None:
    """One stream after the other, each on a connection of its own, read until the worker hangs up or says no more."""
    chance = random.Random(1)
    while time.monotonic() < end:
        body = chance.choice(
            (b'{"rows":[{"speed":10}]}', b'{"columns":{"speed":[10,"NaN",null]}}', chance.randbytes(99))
        )
        content, encoding = chance.choice((1, 2, 3)), chance.choice((0, 0, 0, 1, 2))
        valid = frames.encode_score(1, key, 1000, [Member(body, content, chance.choice((1, 2, 3)), encoding)] * 2)
        data = garbage(chance, valid)
        if data[:3] == valid[:3] and data[3:4] != valid[3:4]:
            continue  # a good frame of another type: who may connect may say "leave"
        reader, writer = await asyncio.open_unix_connection(str(chance.choice(sockets)))
        writer.write(data)
        if chance.random() < 0.5:
            await _within(PATIENCE_S, reader.read(CAP))
        writer.close()
        outcome["streams"] += 1


async def _to_dispatcher(path: Path, seed: int, end: float, outcome: Counter[str]) -> None:
    """A dispatcher with a worker that answers every request with garbage, and one that answers well."""
    chance = random.Random(seed)
    path.mkdir()
    alive: set[asyncio.StreamWriter] = set()

    async def serve_badly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        alive.add(writer)
        await _serve(reader, writer, lambda reply: garbage(chance, reply))
        alive.discard(writer)

    def kill(worker: str, reason: str) -> None:
        outcome[f"killed: {reason}"] += 1
        for writer in alive:
            writer.close()

    bad = await asyncio.start_unix_server(serve_badly, path / "bad")
    good = await asyncio.start_unix_server(lambda r, w: _serve(r, w, lambda reply: reply), path / "good")
    dispatcher = Dispatcher(Limits(), CAP, kill)
    generation = 0
    while time.monotonic() < end:
        generation += 1
        await dispatcher.connect(generation, {f"bad {generation}": str(path / "bad")})
        dispatcher.switch(Generation("r", generation, {"a/1": ModelPolicy("a", 8)}))
        fate = asyncio.gather(*(_fate(dispatcher, outcome) for _ in range(4)))
        await asyncio.sleep(PATIENCE_S / 5)
        await dispatcher.connect(generation, {f"good {generation}": str(path / "good")})
        dispatcher.switch(Generation("r", generation, {"a/1": ModelPolicy("a", 8)}))
        await fate
        kill("bad", "round over")  # it may have said half of something, and nobody waits for the rest
        outcome["not served"] += await _fate(dispatcher, outcome, 5.0) != "answered"
    dispatcher.close()
    for server in (bad, good):
        server.close()


async def _fate(dispatcher: Dispatcher, outcome: Counter[str], timeout_s: float = REQUEST_S) -> str:
    """What becomes of one request: every one must have an end, on time."""
    now = time.monotonic()
    try:
        answer = dispatcher.score(Request("r", "a", "a/1", Member(b"body"), 4, now + timeout_s, now))
        await asyncio.wait_for(answer, 10 * timeout_s)
        fate = "answered"
    except Refused as e:
        fate = e.refusal.value
    except TimeoutError:
        fate = "endless"
    outcome.update(["requests", fate])
    return fate


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, spoil: Callable[[bytes], bytes]) -> None:
    """A worker that answers each batch, or what `spoil` makes of the answer."""
    decoder = FrameDecoder(CAP)
    try:
        while data := await reader.read(CAP):
            for frame in decoder.feed(data):
                if frame.type is FrameType.SCORE:
                    members = frames.decode_score(frame.payload).members
                    results = [Result(ReplyCode.OK, 1, b"{}") for _ in members]
                    writer.write(spoil(frames.encode_reply(frame.batch, ReplyPayload(0.1, 0.2, 0.3, results))))
    except OSError:
        pass
    finally:
        writer.close()


async def _within(seconds: float, waiting: Awaitable[object]) -> None:
    """Wait for it, but not for ever; a connection that breaks is fine too."""
    try:
        await asyncio.wait_for(waiting, seconds)
    except (TimeoutError, OSError):
        return
