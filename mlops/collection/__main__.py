"""The recorder's process, as the supervisor starts it."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from mlops.collection.recorder import Recorder, key_of
from mlops.collection.spool import Spool
from server import logs

NICE = 10
"""Live requests come first: where a cgroup or the machine has no idle core, the recorder gets a tenth of their time."""


def main() -> None:
    """Record until told to stop."""
    parser = argparse.ArgumentParser("mlops.collection")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--spool", type=Path, required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--every", type=float, required=True)
    parser.add_argument("--largest", type=int, required=True)
    parser.add_argument("--log-level", required=True)
    given = parser.parse_args()
    logs.configure(given.log_level)
    os.nice(NICE)
    os.umask(0o077)
    spool = Spool(given.spool, given.largest)
    asyncio.run(Recorder(spool, given.store, given.every, key_of(given.spool)).run(given.socket))


if __name__ == "__main__":
    main()
