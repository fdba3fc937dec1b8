"""Load on a running server: threads with a connection each, that check every answer and remember what was wrong."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import orjson

from tests.harness.tandem import Tandem

Check = Callable[[int, bytes], str | None]
"""Given status and body: None if that is right, else what is wrong."""


class Load:
    """`threads` clients that score `model` with `body` until stopped. Use as a context manager."""

    def __init__(self, tandem: Tandem, model: str, body: object, check: Check, threads: int = 8) -> None:
        self._port = tandem.port
        self._path = f"/v1/models/{model}/score"
        self._body = orjson.dumps(body)
        self._headers = {"content-type": "application/json"} | tandem.headers()
        self._check = check
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self._lock = threading.Lock()
        self.answered = 0
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.refused_connections = 0
        self.slowest_s = 0.0

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client still waits for its answer"

    def _run(self) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            self._ask(connection)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                connection.request("POST", self._path, self._body, self._headers)
            except OSError:
                # Not accepted: the server had closed before it read anything of this request.
                with self._lock:
                    self.refused_connections += 1
                connection.close()
                self._stop.wait(0.02)
                continue
            try:
                reply = connection.getresponse()
                body = reply.read()
            except (OSError, http.client.HTTPException) as error:
                self._note(0, f"no answer: {error!r}", started)
                connection.close()
                continue
            self._note(reply.status, self._check(reply.status, body), started)

    def _note(self, status: int, wrong: str | None, started: float) -> None:
        with self._lock:
            self.answered += 1
            self.statuses[status] += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
            if wrong is not None:
                self.wrong.append(wrong)


def expect(predictions: object) -> Check:
    """Every answer is 200 with exactly these predictions."""

    def check(status: int, body: bytes) -> str | None:
        if status != 200:
            return f"status {status}: {body[:300]!r}"
        given = orjson.loads(body)["predictions"]
        return None if given == predictions else f"predictions {given}"

    return check
