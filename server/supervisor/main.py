"""The supervisor: starts everything in order, publishes what changes, stops everything in order.

Start: listening sockets, data folder, hub, gunicorn, metrics, pools, the watch over the model folders. Stop (SIGTERM or
SIGINT): gunicorn first, which finishes what it accepted while the workers are still there; then the workers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import start_http_server

from auth.setup import prepare
from server import metrics
from server.catalog.files import PYTHON_FILES, R_FILES
from server.catalog.snapshot import Entry, Snapshot
from server.catalog.watch import Watch
from server.config import RUN_DIR, Settings, granted_cores
from server.metrics import SupervisorMetrics, proportional_bytes
from server.supervisor import gpus
from server.supervisor.environment import MEMORY_KEPT
from server.supervisor.hub import Hub
from server.supervisor.pool import Pool
from server.supervisor.pools import SHARED, Pools

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 10.0
STOP_MARGIN_S = 5.0


class StartError(Exception):
    """Tandem cannot start; the text says what to do about it."""


class Supervisor:
    """One running Tandem."""

    def __init__(
        self, settings: Settings, on_ready: Callable[[str], None] | None = None, cores: int | None = None
    ) -> None:
        self._settings = settings
        self._cores = cores or granted_cores()
        self._on_ready = on_ready
        self._run_dir = Path(tempfile.mkdtemp(prefix="tandem-"))
        self._metric_files = self._run_dir / "metrics"
        self._metric_files.mkdir()
        self._metrics = SupervisorMetrics(self._metric_files)
        self._hub = Hub(lambda worker, reason: self._pools.kill(worker, reason))
        self._publishing = asyncio.Lock()
        self._measured: tuple[Entry, ...] = ()
        self._serial = 0
        self._scanned = False
        self._complete = asyncio.Event()
        """Set once every file of the first look serves or is refused."""
        self._stop = asyncio.Event()
        self._pools = Pools(self._run_dir, settings, self._publish, self._on_worker_end, self._cores)

    async def run(self) -> int:
        """Serve until told to stop; the process's exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        gunicorn: asyncio.subprocess.Process | None = None
        try:
            listener = _listen(self._settings.host, self._settings.port)
            self._serve_metrics()
            password_file = prepare(self._settings.data, time.time())
            if password_file is not None:
                log.info("first start: the password of admin was written", extra={"file": str(password_file)})
            await self._hub.start(self._run_dir / "hub.sock")
            gunicorn = await self._start_gunicorn(listener)
            return await self._serve(gunicorn, listener)
        finally:
            if gunicorn is not None:
                await self._end(gunicorn)
            await self._pools.stop()
            await self._hub.stop()
            shutil.rmtree(self._run_dir, ignore_errors=True)
            log.info("stopped")

    async def _serve(self, gunicorn: asyncio.subprocess.Process, listener: socket.socket) -> int:
        address = f"http://{self._settings.host}:{listener.getsockname()[1]}"
        listener.close()
        watching = asyncio.create_task(self._watch())
        keeping = asyncio.create_task(self._keep_house())
        announcing = asyncio.create_task(self._announce(address))
        stopping = asyncio.create_task(self._stop.wait())
        ending = asyncio.create_task(gunicorn.wait())
        try:
            await asyncio.wait({stopping, ending, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watching, keeping, announcing, stopping):
                task.cancel()
        if self._stop.is_set():
            log.info("stopping")
            return 0
        if watching.done() and not watching.cancelled() and watching.exception() is not None:
            log.error("the watch over the model folders ended", exc_info=watching.exception())
        else:
            log.error("the web processes ended by themselves", extra={"code": str(gunicorn.returncode)})
        return 1

    # Parts

    def _on_worker_end(self, runtime: str, reason: str) -> None:
        self._metrics.restarts.labels(runtime, reason).inc()
        self._measure_workers()

    def _serve_metrics(self) -> None:
        try:
            server, _ = start_http_server(
                self._settings.metrics_port, self._settings.host, registry=self._metrics.registry
            )
        except OSError as e:
            where = f"{self._settings.host}:{self._settings.metrics_port}"
            raise StartError(f"the metrics cannot listen on {where}: {e.strerror}; set TANDEM_METRICS_PORT") from e
        log.info("metrics served", extra={"address": f"http://{self._settings.host}:{server.server_port}/metrics"})

    async def _start_gunicorn(self, listener: socket.socket) -> asyncio.subprocess.Process:
        environment = os.environ | MEMORY_KEPT | self._settings.to_environment()
        environment |= {
            "PROMETHEUS_MULTIPROC_DIR": str(self._metric_files),
            RUN_DIR: str(self._run_dir),
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gunicorn", "--config", "python:server.web.gunicorn_settings"),
            *("--bind", f"fd://{listener.fileno()}", "--workers", str(self._settings.web_workers)),
            *("--graceful-timeout", str(int(self._settings.timeout_s + STOP_MARGIN_S))),
            "server.web.app:create_app()",
            pass_fds=[listener.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            env=environment,
        )

    async def _end(self, gunicorn: asyncio.subprocess.Process) -> None:
        if gunicorn.returncode is None:
            gunicorn.terminate()
            try:
                await asyncio.wait_for(gunicorn.wait(), self._settings.timeout_s + 2 * STOP_MARGIN_S)
            except TimeoutError:
                gunicorn.kill()
                await gunicorn.wait()

    # Catalog

    async def _watch(self) -> None:
        """Hand every change of the model folders to the pools."""
        folders = {self._settings.r_models: R_FILES, self._settings.python_models: PYTHON_FILES}
        watch = Watch(folders, self._settings.settle_s)
        async for files in watch.changes():
            await self._pools.update(files)
            self._scanned = True
            await self._publish()

    async def _publish(self) -> None:
        """Send all web processes the state of everything; returns when they have switched to it."""
        async with self._publishing:
            self._serial += 1
            entries = tuple(self._pools.entries())
            if self._scanned and self._pools.settled:
                self._complete.set()
            self._measure(entries)
            await self._hub.push(Snapshot(self._serial, entries, self._pools.states(), self._complete.is_set()))

    async def _announce(self, address: str) -> None:
        await self._hub.confirmed(1, self._settings.web_workers)
        await self._complete.wait()
        log.info("ready", extra={"address": address, "models": sum(len(p.shelf.serving) for p in self._pools)})
        if self._on_ready is not None:
            self._on_ready(address)

    # Metrics

    def _measure(self, entries: tuple[Entry, ...]) -> None:
        if entries != self._measured:  # a refilled worker changes none of them, and a thousand models take 20 ms
            self._measured = entries
            self._metrics.model_state.clear()
            for entry in entries:
                for state in metrics.STATES:
                    self._metrics.model_state.labels(entry.name, entry.version, state).set(entry.state == state)
                if entry.load_seconds is not None:
                    self._metrics.load_seconds.labels(entry.name).set(entry.load_seconds)
        self._measure_workers()

    def _measure_workers(self) -> None:
        for runtime, pools in self._by_runtime():
            ready = sum(len(pool.pids()) for pool in pools)
            self._metrics.workers.labels(runtime, "ready").set(ready)
            self._metrics.workers.labels(runtime, "missing").set(max(0, sum(pool.wanted for pool in pools) - ready))

    def _by_runtime(self) -> list[tuple[str, list[Pool]]]:
        """Pools as the metrics tell them apart: scripts have one label together, or labels would have no end."""
        return [(runtime, [p for p in self._pools if p.plan.runtime == runtime]) for runtime in (*SHARED, "script")]

    async def _keep_house(self) -> None:
        while True:
            await asyncio.to_thread(self._metrics.sweep)
            for runtime, pools in self._by_runtime():
                pids = [pid for pool in pools for pid in pool.pids()]
                self._metrics.memory.labels(runtime).set(await asyncio.to_thread(proportional_bytes, pids))
            for gpu in await gpus.in_use() if gpus.count() else ():
                self._metrics.gpu_memory.labels(gpu.number).set(gpu.memory_bytes)
                if gpu.utilization is not None:
                    self._metrics.gpu_utilization.labels(gpu.number).set(gpu.utilization)
            await asyncio.sleep(SWEEP_EVERY_S)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as e:
        raise StartError(f"cannot listen on {host}:{port}: {e.strerror}; set TANDEM_HOST or TANDEM_PORT") from e
    return listener
