"""What a flood of wrong passwords does to who is scoring: the 99th percentile of the time that an answer takes.

Each password is wrong, of a name and from an address that was not met before, so nothing that is remembered helps the
server: it may only refuse what it has no place to check. The flood's own processor time is given back as far as that
can be: its process gives way to every other.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from statistics import quantiles

from benchmarks.harness import Bar, Bench, BenchmarkError, Figure, Measured, ratios, take_turns
from benchmarks.rows import cars
from benchmarks.tandem import Tandem

PER_S = 500
ADDRESSES = 250
"""Each is asked from so often that none has to wait for its failures."""
EVERY_S = 0.005
"""How often somebody scores meanwhile."""


def wrong_passwords(bench: Bench) -> Measured:
    """The `mpg` lm, a request every 5 ms, alone and beside 500 wrong passwords a second."""
    seconds = bench.pick(10.0, 2.0)
    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=os.nice, initargs=(19,))
    answered: Counter[int] = Counter()
    with Tandem(bench.folder("wrong-passwords"), ["mpg"], settings={"basic": "passwords"}) as tandem, pool:

        def beside_the_flood() -> float:
            flood = pool.submit(send_wrong_passwords, tandem.port, seconds)
            found = p99_s(tandem, seconds)
            answered.update(flood.result())
            return found

        p99_s(tandem, 1.0)
        found = take_turns(bench.pick(7, 3), alone=lambda: p99_s(tandem, seconds), flooded=beside_the_flood)
    if set(answered) != {401, 429} or answered[401] < 10:
        raise BenchmarkError(f"the flood was answered {dict(answered)}")
    return Measured(
        [
            Figure(
                f"lm, one row, {PER_S} wrong passwords a second / none: p99",
                ratios(found["flooded"], found["alone"]),
                "x",
                Bar("<=", 1.1),
            ),
            *(Figure(f"lm, {name}: p99", [one * 1e6 for one in took], "µs") for name, took in found.items()),
            Figure("wrong passwords that were checked", [answered[401] / answered.total()], "of all"),
        ]
    )


def p99_s(tandem: Tandem, seconds: float) -> float:
    """The 99th percentile of the time that one row takes, asked for at a steady pace."""
    took = []
    with tandem.connect() as connection:
        requests = [connection.posting(tandem.path("mpg"), body) for body in cars(60).one_by_one()]
        for number, _ in enumerate(paced(seconds, EVERY_S)):
            reply = connection.send(requests[number % len(requests)])
            if reply.status != 200:
                raise BenchmarkError(f"scoring was answered {reply.status}: {reply.body[:500]!r}")
            took.append(reply.seconds)
    return quantiles(took, n=100)[-1]


def send_wrong_passwords(port: int, seconds: float) -> Counter[int]:
    """Send them at a steady pace, by connections of different addresses; how often each status was answered."""
    answered: Counter[int] = Counter()
    with connections(port) as every:
        for number, _ in enumerate(paced(seconds, 1 / PER_S)):
            connection = every[number % len(every)]
            if number >= len(every):
                answered[status(connection)] += 1
            connection.sendall(wrong(port))
        for connection in every:
            answered[status(connection)] += 1
    return answered


def paced(seconds: float, every_s: float) -> Iterator[None]:
    """Go on at each tick until the time is over; ticks that were missed are made up for."""
    begun = due = time.perf_counter()
    while due < begun + seconds:
        time.sleep(max(0.0, due - time.perf_counter()))
        yield
        due += every_s


@contextmanager
def connections(port: int) -> Iterator[list[socket.socket]]:
    """A connection from each of so many addresses of this machine, which are others each time."""
    network = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}"
    every = [
        socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(f"{network}.{host + 1}", 0))
        for host in range(ADDRESSES)
    ]
    try:
        yield every
    finally:
        for one in every:
            one.close()


def wrong(port: int) -> bytes:
    credential = b64encode(f"{secrets.token_hex(8)}:{secrets.token_hex(8)}".encode()).decode()
    return f"GET /auth/me HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Basic {credential}\r\n\r\n".encode()


def status(connection: socket.socket) -> int:
    """The status of the next answer, which is small enough to come in one piece."""
    return int(connection.recv(1 << 16).split(b" ", 2)[1])
