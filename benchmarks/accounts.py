"""What kinds of credentials cost, a limit, ten thousand keys in use, and an open console: one server, turn about."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from urllib.parse import urlencode

import orjson

from auth.accounts import Accounts
from auth.principal import Allowance
from benchmarks.harness import Bar, Bench, BenchmarkError, Figure, Measured, ratios, take_turns
from benchmarks.http import Connection, Reply
from benchmarks.one_row import CONNECTIONS, DIFFERENT_ROWS, prepared
from benchmarks.plain_r import PlainR
from benchmarks.rows import cars
from benchmarks.tandem import Tandem

PASSWORD = "a password of some length"
SERVICE, LIMITED, LOOKING = "service", "limited", "looking"
MANY_KEYS = 10_000
CONSOLE_EVERY_S = 3.0
"""As `setInterval` has it in server/web/routes/pages/console.js."""
NEVER_REACHED = 1_000_000_000


def accounts(bench: Bench) -> Measured:
    """The `mpg` lm over 64 connections with a token, keys in two places, a limit, many keys, and a console open."""
    folder = bench.folder("accounts")
    with Tandem(folder, ["mpg"]) as tandem, PlainR() as r:
        load, _ = prepared(folder, tandem, r, "mpg", cars(DIFFERENT_ROWS))
        send(tandem, "POST", "/auth/accounts", {"name": SERVICE, "kind": "service", "role": "scorer"})
        keys = list(_keys(folder, bench.pick(MANY_KEYS, 1000)))
        basic = b64encode(f":{keys[0]}".encode()).decode()
        callers = {
            "token": load,
            "api_key": load.by(bench.folder("api-key"), [f"api-key: {keys[0]}"]),
            "basic": load.by(bench.folder("basic"), [f"Authorization: Basic {basic}"]),
            "limited": load.by(bench.folder("limited"), [f"Authorization: Bearer {_limited(tandem)}"]),
            # Twice the same: wrk is slower where it takes turns, and so it does in both.
            "one": load.by(bench.folder("one"), [f"api-key: {keys[0]}"] * 2),
            "many": load.by(bench.folder("many"), [f"api-key: {key}" for key in keys]),
        }
        for name, caller in callers.items():
            # Keys in use are known to every process, each of which has to have met each key once.
            caller.requests_per_s(CONNECTIONS, bench.pick(20.0, 4.0) if name == "many" else 1.0)
        seconds = bench.pick(5.0, 2.0)
        measures: dict[str, Callable[[], float]] = {
            name: partial(one.requests_per_s, CONNECTIONS, seconds) for name, one in callers.items()
        }
        cookie = _signed_in(tandem)

        def with_a_console_open() -> float:
            with _console(tandem, cookie):
                return load.requests_per_s(CONNECTIONS, seconds)

        measures["console"] = with_a_console_open
        found = take_turns(bench.pick(7, 3), **measures)
    token = found["token"]
    return Measured(
        [
            Figure("a key in api-key / a token: requests", ratios(found["api_key"], token), "x", Bar(">=", 0.98)),
            Figure("Basic with a key / a token: requests", ratios(found["basic"], token), "x", Bar(">=", 0.98)),
            Figure("a token under a limit / a token: requests", ratios(found["limited"], token), "x", Bar(">=", 0.95)),
            Figure(f"{len(keys):,} keys / one: requests", ratios(found["many"], found["one"]), "x", Bar(">=", 0.9)),
            Figure("a console open / none: requests", ratios(found["console"], token), "x", Bar(">=", 0.98)),
            *(Figure(f"{name.replace('_', ' ')}: requests", rates, "per s") for name, rates in found.items()),
        ]
    )


def _keys(folder: Path, count: int) -> Iterator[str]:
    """So many different keys of the service; made in the database, as ten thousand requests would take long."""
    everything = Allowance(frozenset({"list", "score"}))
    with closing(Accounts(folder / "data" / "accounts.sqlite")) as opened:
        for number in range(count // 2):
            yield from opened.keys.add(SERVICE, f"pair {number}", everything, 1, SERVICE, time.time()).texts.values()


def _limited(tandem: Tandem) -> str:
    """The token of an account under a limit that it never reaches."""
    send(tandem, "POST", "/auth/accounts", {"name": LIMITED, "role": "scorer", "password": PASSWORD})
    rule = {"who": LIMITED, "requests": NEVER_REACHED, "per": "second"}
    send(tandem, "PUT", f"/auth/limits/{LIMITED}", rule)
    form = urlencode({"grant_type": "password", "username": LIMITED, "password": PASSWORD}).encode()
    signed_in = _posted(tandem, "/auth/token", form, "application/x-www-form-urlencoded")
    token: str = orjson.loads(signed_in.body)["access_token"]
    with Connection(tandem.port, token) as connection:
        if b"\r\nratelimit: " not in connection.post(tandem.path("mpg"), b"{}").head:
            raise BenchmarkError("the account that is to be limited is not")
    return token


def _signed_in(tandem: Tandem) -> str:
    """The cookie of an analyst who is signed in to the console."""
    send(tandem, "POST", "/auth/accounts", {"name": LOOKING, "role": "analyst", "password": PASSWORD})
    with Connection(tandem.port) as connection:
        body = orjson.dumps({"name": LOOKING, "password": PASSWORD})
        reply = connection.send(_of_a_page(connection.posting("/auth/session", body)))
    found = re.search(rb"(?im)^set-cookie: ([^;]+);", reply.head)
    if reply.status != 204 or found is None:
        raise BenchmarkError(f"the console signs nobody in: {reply.status} {reply.body[:500]!r}")
    return found[1].decode()


@contextmanager
def _console(tandem: Tandem, cookie: str) -> Iterator[None]:
    """A browser in which the console is open: it asks what the page asks, as often as the page does."""
    closed = Event()

    def look() -> None:
        with Connection(tandem.port) as connection:
            while True:
                for path in ("/health/ready", "/v1/models"):
                    reply = connection.send(_of_a_page(connection.getting(path), f"cookie: {cookie}\r\n"))
                    if reply.status != 200:
                        raise BenchmarkError(f"{path} was answered {reply.status}: {reply.body[:500]!r}")
                if closed.wait(CONSOLE_EVERY_S):
                    return

    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(look)
        try:
            yield
        finally:
            closed.set()
        looking.result()


def _of_a_page(request: bytes, more: str = "") -> bytes:
    """A request as a page of the server makes it."""
    return request.replace(b"\r\n", f"\r\nsec-fetch-site: same-origin\r\n{more}".encode(), 1)


def send(tandem: Tandem, method: str, path: str, body: object) -> None:
    """Have something changed over HTTP."""
    _posted(tandem, path, orjson.dumps(body), "application/json", method)


def _posted(tandem: Tandem, path: str, body: bytes, content_type: str, method: str = "POST") -> Reply:
    with tandem.connect() as connection:
        request = connection.posting(path, body, content_type)
        reply = connection.send(request.replace(b"POST", method.encode(), 1))
    if reply.status >= 300:
        raise BenchmarkError(f"{path} was answered {reply.status}: {reply.body[:500]!r}")
    return reply
