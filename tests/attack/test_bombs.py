"""Models that fork without an end: nothing limits how many they start but the container, and all of them are gone when
their worker is, which its deadline ends or the model itself, while others are served.
"""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attack.arena import SPEED
from tests.harness.tandem import Tandem, eventually
from tests.server.pools.test_isolation import Source

pytestmark = pytest.mark.long

FUSE = 98765
"""No probe asks for it."""
MANY, SOME = 350, 350
PYTHON = f"""
import os, signal

def hop():
    while True:  # one process, each time another
        if os.fork():
            os._exit(0)

class Model:
    n_features_in_ = 1
    def predict(self, X):
        if any(number == {FUSE} for (number,) in X):
            for _ in range({MANY}):
                if not os.fork():
                    while True:
                        signal.pause()
            for _ in range(4):
                if not os.fork():
                    hop()
            os.abort()
        return [number * 2 for (number,) in X]
"""
R = f"""
f <- function(df) {{
  if (any(df$x == {FUSE})) {{
    for (i in seq_len({SOME})) parallel::mcparallel(Sys.sleep(3600), detached = TRUE)
    repeat Sys.sleep(60)  # to the deadline
  }}
  df$x * 2
}}
environment(f) <- globalenv()
f
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    tandem = Tandem(tmp_path_factory.mktemp("bombs"), r_workers=2, python_workers=1, timeout_s=60)
    (tandem.python_models / "python.pkl").write_bytes(pickle.dumps(Source(PYTHON)))
    (tandem.r_models / "r.yaml").write_text("schema:\n  inputs:\n    - {name: x, type: numeric}\n")
    tandem.drop("r", R)
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    yield tandem.start()
    assert tandem.stop() == 0


def group(leader: int) -> int:
    """How many processes there are in a process group."""
    found = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has gone
            continue
        found += state != "Z" and int(of) == leader
    return found


@contextmanager
def beside(server: Tandem) -> Iterator[Counter[int]]:
    """Have somebody call a model all the while; how often was answered what."""
    seen: Counter[int] = Counter()
    over = threading.Event()

    def call() -> None:
        while not over.wait(0.05):
            seen[server.score("cars", SPEED).status_code] += 1

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(("name", "column", "children"), [("python", "x0", MANY), ("r", "x", SOME)])
def test_a_fork_bomb_ends_with_its_call_and_others_are_served(
    server: Tandem, name: str, column: str, children: int
) -> None:
    assert server.score(name, {"rows": [{column: 4}]}).json()["predictions"] == [8]
    most: Counter[int] = Counter()
    over = threading.Event()
    workers = server.processes("worker")

    def count() -> None:
        while not over.wait(0.2):
            for pid in workers:
                most[pid] = max(most[pid], group(pid))

    counting = threading.Thread(target=count)
    with beside(server) as seen:
        counting.start()
        reply = server.score(name, {"rows": [{column: FUSE}]}, headers={"X-Request-Timeout-Ms": "59000"})
        over.set()
        counting.join()
        assert reply.status_code >= 500
        assert max(most.values()) > children, "it went off"
        eventually(lambda: all(group(pid) <= 1 for pid in workers))
        eventually(lambda: server.score(name, {"rows": [{column: 4}]}).status_code == 200)
    assert seen.keys() == {200}
