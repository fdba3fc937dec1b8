"""The web processes: gunicorn keeps them; here it is started, told to replace them one by one, and stopped.

Their settings are in a file of the run folder, not in gunicorn's environment: a web process reads it when it starts, so
that one that starts later has the settings of then.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from server.config import Settings
from server.config_handed import RUN_DIR, SETTINGS_FILE
from server.pools.environment import MEMORY_KEPT
from server.supervisor.hub import Hub

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
LEAVE_MARGIN_S = 10.0
"""Time that a web process may take to leave beyond its longest request; by itself it takes 5 s at most."""
KILL_TIMEOUT_S = 5.0
GUNICORN_GRACE_S = 3600
"""Gunicorn's own limit, set so high that it never applies: web processes enforce TANDEM_TIMEOUT_S themselves."""


class WebProcesses:
    """Gunicorn and its processes."""

    def __init__(self, settings: Settings, run_dir: Path, hub: Hub) -> None:
        self._settings = settings
        self._run_dir = run_dir
        self._hub = hub
        self._size = settings.web_workers
        self._gunicorn: asyncio.subprocess.Process | None = None

    @property
    def exit_code(self) -> int | None:
        """Gunicorn's exit code, once it has ended."""
        return self._gunicorn.returncode if self._gunicorn is not None else None

    async def start(self, listener: socket.socket, metric_files: Path) -> None:
        """Start gunicorn on a listening socket."""
        self._write_settings()
        self._gunicorn = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gunicorn", "--config", "python:server.web.connection.gunicorn_settings"),
            *("--bind", f"fd://{listener.fileno()}", "--workers", str(self._size)),
            *("--graceful-timeout", str(GUNICORN_GRACE_S)),
            "server.web.app:create_app()",
            pass_fds=[listener.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            env=os.environ | MEMORY_KEPT | {"PROMETHEUS_MULTIPROC_DIR": str(metric_files), RUN_DIR: str(self._run_dir)},
            # A terminal's Ctrl-C goes to a whole group: who stops when is the supervisor's to decide.
            start_new_session=True,
        )

    async def started(self) -> None:
        """Wait until all of them have switched to a snapshot."""
        await self._hub.confirmed(1, self._size)

    async def ended(self) -> None:
        """Wait until gunicorn has ended."""
        if self._gunicorn is not None:
            await self._gunicorn.wait()

    async def replace(self, settings: Settings) -> None:
        """Replace all web processes by others that have these settings.

        One by one: a new one has connected to the workers and takes requests before the oldest leaves. Gunicorn's own
        reload would stop the old ones at once, while the new ones still import.
        """
        self._settings = settings
        self._write_settings()
        before, after = self._size, settings.web_workers
        try:
            for turn in range(max(before, after)):
                if turn < after:
                    await self._one_more()
                if turn < before:
                    await self._one_less()
        except TimeoutError:
            log.error("not all web processes could be replaced in time")

    async def stop(self) -> None:
        """Let the web processes answer all requests that they have accepted, and end them."""
        if self._gunicorn is None or self._gunicorn.returncode is not None:
            return
        self._gunicorn.terminate()
        if await self._ends_within(self._settings.timeout_s + LEAVE_MARGIN_S):
            return
        log.error("the web processes did not end in time")
        self._gunicorn.send_signal(signal.SIGINT)  # gunicorn kills what is left of them
        if not await self._ends_within(KILL_TIMEOUT_S):
            self._gunicorn.kill()
            await self._gunicorn.wait()

    async def _ends_within(self, timeout_s: float) -> bool:
        try:
            await asyncio.wait_for(self.ended(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def _one_more(self) -> None:
        there = self._hub.pids
        self._tell(signal.SIGTTIN)
        self._size += 1
        async with asyncio.timeout(START_TIMEOUT_S):
            while self._hub.pids <= there:
                await self._hub.change()

    async def _one_less(self) -> None:
        """Have the oldest web process leave and wait until it has: gunicorn counts it among its own until then."""
        there = self._hub.pids
        self._tell(signal.SIGTTOU)
        self._size -= 1
        async with asyncio.timeout(self._settings.timeout_s + LEAVE_MARGIN_S):
            while self._hub.pids >= there:
                await self._hub.change()

    def _tell(self, number: signal.Signals) -> None:
        assert self._gunicorn is not None
        self._gunicorn.send_signal(number)

    def _write_settings(self) -> None:
        path = self._run_dir / SETTINGS_FILE
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(self._settings.model_dump_json())
        new.replace(path)
