"""A model of another server, relayed: requests a second and latency, against asking that server itself."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.harness import ROOT, Bench, Figure, Measured, ratios, take_turns
from benchmarks.one_row import CONNECTIONS, DIFFERENT_ROWS, prepared
from benchmarks.plain_r import PlainR
from benchmarks.rows import cars
from benchmarks.tandem import Tandem


def relay(bench: Bench) -> Measured:
    """The `mpg` lm. Both servers and the load share the machine, so with two cores half is what could be had."""
    folder = bench.folder("relay")
    shared = _shared(folder)
    seconds = bench.pick(4.0, 1.0)
    with Tandem(folder / "back", ["mpg"], settings=shared) as back, PlainR() as r:
        remotes = {"remotes": f"back=http://127.0.0.1:{back.port}"}
        with Tandem(folder / "front", settings=shared | remotes) as front:
            direct, _ = prepared(folder / "back", back, r, "mpg", cars(DIFFERENT_ROWS))
            relayed = direct.at(front.url("mpg"))
            for load in (direct, relayed):
                load.requests_per_s(CONNECTIONS, 1.0)
            found = take_turns(
                bench.pick(5, 2),
                direct=partial(direct.requests_per_s, CONNECTIONS, seconds),
                relayed=partial(relayed.requests_per_s, CONNECTIONS, seconds),
                direct_s=partial(direct.median_latency_s, bench.pick(2.0, 1.0)),
                relayed_s=partial(relayed.median_latency_s, bench.pick(2.0, 1.0)),
            )
    added = [1e6 * (a - b) for a, b in zip(found["relayed_s"], found["direct_s"], strict=True)]
    return Measured(
        [
            Figure(
                "lm, one row, 64 connections: requests relayed / asked directly",
                ratios(found["relayed"], found["direct"]),
                "x",
            ),
            Figure("lm, one row, one connection: what relaying adds", added, "µs"),
            Figure("lm: requests relayed", found["relayed"], "per s"),
        ]
    )


def _shared(folder: Path) -> dict[str, object]:
    """Settings of servers that share accounts and keys."""
    accounts, key = folder / "accounts", folder / "token.key"
    command = [sys.executable, "-m", "server.cli", "users", "hash", "admin", "--role", "admin"]
    hashed = subprocess.run(command, cwd=ROOT, input=b"a password of admin's", capture_output=True, check=True)
    for path, content in ((accounts, hashed.stdout), (key, b"a key of more than thirty-two characters\n")):
        path.touch(mode=0o600)
        path.write_bytes(content)
    return {"accounts": accounts, "token_key": key}
