"""The recorder's process: there while something is collected, started again when it ends, the last one to leave.

Owns its life. Must not know what it does with what it is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import orjson

from server.collect_metrics import RecorderMetrics
from server.config import Settings
from server.machine.autogroup import ASIDE, set_nice
from server.wire.collect import SOCKET, Told
from server.wire.record import Misfit
from server.wire.snapshot import EndpointState, Entry

log = logging.getLogger(__name__)

AGAIN_S = 0.2
"""Seconds between the end of a recorder and the start of the next; each failure doubles them, up to `SELDOM_S`."""
SELDOM_S = 10.0
LIVED_S = 1.0
"""A recorder that has lived so long did not fail at its start."""
STOP_TIMEOUT_S = 15.0
LONGEST_LINE_BYTES = 16 << 20
"""What the recorder may say at once: some hundred bytes for each model."""


class Recorder:
    """The recorder of this server."""

    def __init__(self, settings: Settings, run_dir: Path, metrics: RecorderMetrics) -> None:
        self._settings = settings
        self._run_dir = run_dir
        self._metrics = metrics
        self._wanted = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    def look(self, entries: Iterable[Entry], endpoints: Sequence[EndpointState]) -> None:
        """Start the recorder if something is collected. It stays: what it holds has to go to the store."""
        mirrored = any(any(endpoint.mirror_traffic.values()) for endpoint in endpoints)
        deployments = (one for endpoint in endpoints for one in endpoint.deployments)
        if mirrored or any(e.collect is not None for e in entries) or any(d.collect is not None for d in deployments):
            self._wanted.set()

    async def follow(self) -> None:
        """Keep the recorder alive, for ever."""
        if any(self.spool.glob("*.spool")) or any(self.spool.glob("*.open")):  # left by an earlier server
            self._wanted.set()
        await self._wanted.wait()
        loop = asyncio.get_running_loop()
        wait_s = AGAIN_S
        while True:
            began = loop.time()
            await self._run()
            lived = loop.time() - began >= LIVED_S
            wait_s = AGAIN_S if lived else min(2 * wait_s, SELDOM_S)
            log.error("the recorder has ended and is started again", extra={"seconds": wait_s})
            await asyncio.sleep(wait_s)

    @property
    def spool(self) -> Path:
        """Where copies of requests wait for the store."""
        return self._settings.data / "recordings"

    async def stop(self) -> None:
        """Have the recorder put away what it holds, and end. The web processes have ended by now."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.communicate(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _run(self) -> None:
        settings = self._settings
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        process = self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mlops.collection", "--socket", str(self._run_dir / SOCKET)),
            *(
                "--spool",
                str(self.spool),
                "--store",
                settings.store or str(settings.data / "store"),
                "--every",
                str(settings.spool_every_s),
            ),
            *("--largest", str(int(settings.spool_mb * 2**20)), "--log-level", settings.log_level),
            stdin=asyncio.subprocess.PIPE,  # its end tells the recorder that the supervisor is gone
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE_BYTES,
            env=os.environ,
            start_new_session=True,
        )
        self._metrics.up(True)
        try:
            assert process.stdout is not None
            await set_nice(process.pid, ASIDE)  # live requests come first
            async for line in process.stdout:
                with suppress(Misfit, orjson.JSONDecodeError):
                    self._metrics.tell(Told.from_data(orjson.loads(line)))
            await process.wait()
        finally:
            self._metrics.up(False)
