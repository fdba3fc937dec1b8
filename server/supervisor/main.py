"""The supervisor: starts everything in order, publishes what changes, stops everything in order.

Start: listening sockets, metrics, data folder, hub, web processes, the watch over the model folders. Stop (SIGTERM or
SIGINT): first readiness says no, for a time in which everything is still answered; then nothing is accepted any more,
and the web processes answer what they hold; then the workers leave. A second signal cuts that time short. SIGHUP: the
settings are read anew, and put into force without losing a request.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable

from prometheus_client import start_http_server

from auth.setup import prepare
from server import config, logs
from server.catalog import signatures
from server.catalog.files import NOT_SERVED, PYTHON_FILES, R_FILES
from server.catalog.watch import Watch
from server.collect_metrics import RecorderMetrics
from server.config import ConfigError, Settings, changing
from server.endpoint_metrics import EndpointGauges
from server.machine import gpus, sandbox
from server.machine.cgroup import granted_cores, granted_memory_bytes, used_memory_bytes
from server.machine.proportional import proportional_bytes
from server.metrics import SupervisorMetrics
from server.pools.pool import Pool
from server.pools.pools import SHARED, Pools
from server.run_folder import RunFolder
from server.supervisor import reload
from server.supervisor.changes import Changes
from server.supervisor.hub import Hub
from server.supervisor.orphans import Orphans
from server.supervisor.recorder import Recorder
from server.supervisor.remotes import Remotes
from server.supervisor.start import StartError, check_sandbox, listen
from server.supervisor.web_processes import WebProcesses
from server.supervisor.with_head import with_head
from server.wire.snapshot import Entry, Snapshot

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 10.0
PROGRESS_EVERY_S = 10.0
TOLD_S = 1.0
"""How long the web processes are given, when Tandem stops, to learn that it is not ready any more."""


class Supervisor:
    """One running Tandem."""

    def __init__(
        self, settings: Settings, on_ready: Callable[[str], None] | None = None, cores: int | None = None
    ) -> None:
        keys = signatures.trusted_keys(settings.model_signatures, settings.signature_key)
        self._settings = settings
        self._cores = cores or granted_cores()
        self._on_ready = on_ready
        self._run_folder = RunFolder()
        self._run_dir = self._run_folder.path
        self._metric_files = self._run_dir / "metrics"
        self._metric_files.mkdir()
        self._metrics = SupervisorMetrics(self._metric_files)
        self._hub = Hub(lambda *kill: self._pools.kill(*kill), lambda asked: self._endpoints.answer(asked))
        self._measured: tuple[Entry, ...] = ()
        self._serial = 0
        self._scanned = False
        self._complete = False
        """Whether every file of the first look serves or is refused."""
        self._signalled = asyncio.Event()
        """Set once the web processes know that every file of the first look serves or is refused."""
        self._stop = asyncio.Event()
        self._draining = False
        self._hurry = asyncio.Event()
        """Set by a second signal to stop, which cuts the time of draining short."""
        self._told_to_reread = asyncio.Event()
        self._has_terminal = os.isatty(sys.stderr.fileno())
        folders = {settings.r_models: R_FILES, settings.python_models: PYTHON_FILES}
        identify = signatures.identifier(settings.model_signatures, keys, self._run_dir, self._metrics.on_signature)
        self._watch = Watch(
            folders, settings.settle_s, identify, settings.max_models, lambda: self._pools.serving_paths()
        )
        self._web = WebProcesses(settings, self._run_dir, self._hub)
        self._remotes = Remotes(settings.remote_urls, settings.token_key, self._publish, self._on_remote)
        self._endpoints = Changes(settings, self._publish, EndpointGauges(self._metrics.registry))
        self._recorder = Recorder(settings, self._run_dir, RecorderMetrics(self._metrics.registry))
        self._pools = Pools(self._run_dir, settings, self._publish, self._on_worker_end, self._on_refill, self._cores)

    async def run(self) -> int:
        """Serve until a signal says stop. Returns the exit code of the process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        try:
            check_sandbox(self._settings)
            listener = listen(self._settings.host, self._settings.port)
            self._serve_metrics()
            of = self._settings
            shared = of.accounts, of.token_key, of.identity, of.database, of.endpoint_key
            password_file = prepare(of.data, time.time(), *shared, shows_all=of.docs == "open")
            if password_file is not None:
                log.info("first start: the password of admin was written", extra={"file": str(password_file)})
            await self._endpoints.begin()
            await self._publish()  # a web process takes no connection before it has a snapshot
            await self._hub.start(self._run_dir / "hub.sock")
            await self._web.start(listener, self._metric_files)
            address = f"http://{self._settings.host}:{listener.getsockname()[1]}"
            listener.close()
            return await self._serve(address)
        finally:
            await self._web.stop()
            await asyncio.gather(self._recorder.stop(), self._pools.stop())
            await self._hub.stop()
            await self._endpoints.stop()
            self._run_folder.remove()
            log.info("stopped")

    async def _serve(self, address: str) -> int:
        watching = asyncio.create_task(self._follow_folders())
        more = [
            *(self._keep_house(), self._announce(address), self._reread_settings()),
            *(self._remotes.follow(), self._tell_progress(), self._endpoints.follow(), self._recorder.follow()),
        ]
        beside, stopping = [asyncio.create_task(task) for task in more], asyncio.create_task(self._stop.wait())
        ending = asyncio.create_task(self._web.ended())
        try:
            await asyncio.wait({stopping, ending, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watching, *beside, stopping):
                task.cancel()
        if self._stop.is_set():
            log.info("stopping")
            await self._drain(ending)
            return 0
        if watching.done() and not watching.cancelled() and watching.exception() is not None:
            log.error("the watch over the model folders ended", exc_info=watching.exception())
        else:
            log.error("the web processes ended by themselves", extra={"code": str(self._web.exit_code)})
        return 1

    async def _drain(self, ending: asyncio.Task[None]) -> None:
        """Say that this server is not ready, and go on answering until load balancers have seen it."""
        self._draining = True
        telling = asyncio.create_task(self._publish())
        hurrying = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({telling, ending}, timeout=TOLD_S, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({hurrying, ending}, timeout=self._settings.drain_s, return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        hurrying.cancel()

    # Signals

    def _on_stop(self) -> None:
        (self._hurry if self._stop.is_set() else self._stop).set()

    def _on_hangup(self) -> None:
        if self._has_terminal and not os.isatty(sys.stderr.fileno()):  # it was closed: nobody reads us any more
            self._on_stop()
        else:
            self._told_to_reread.set()

    async def _reread_settings(self) -> None:
        """Read the settings anew on each SIGHUP, and put into force what can change."""
        await self._web.started()  # before, gunicorn could not yet be told anything
        while await self._told_to_reread.wait():
            self._told_to_reread.clear()
            try:
                await self._change(config.load())
            except ConfigError as e:
                log.error("the settings cannot be used and stay as they were", extra={"reason": str(e)})
            except Exception:
                log.exception("not all settings could be put into force")

    async def _change(self, read: Settings) -> None:
        before = self._settings
        settings, changed, need_restart = reload.merged(before, read)
        for name in sorted(need_restart):
            log.warning(f"needs a restart: {config.PREFIX}{name.upper()}")
        self._settings = settings
        logs.configure(settings.log_level)
        self._watch.settle_in(settings.settle_s)
        if settings.max_body_mb > before.max_body_mb:  # workers first: they must not be sent more than they take
            await self._pools.change(settings)
        if changed & changing("web"):
            await self._web.replace(settings)
        if settings.max_body_mb <= before.max_body_mb:
            await self._pools.change(settings)
        await reload.tell(settings, changed, need_restart)

    # Parts

    def _on_worker_end(self, runtime: str, reason: str) -> None:
        self._metrics.restarts.labels(runtime, reason).inc()
        self._measure_workers()

    def _on_refill(self, runtime: str, seconds: float) -> None:
        self._metrics.refill.labels(runtime).observe(seconds)

    def _on_remote(self, name: str, up: bool) -> None:
        self._metrics.remote_up.labels(name).set(up)

    def _serve_metrics(self) -> None:
        try:
            server, _ = start_http_server(
                self._settings.metrics_port, self._settings.host, registry=self._metrics.registry
            )
        except OSError as e:
            where = f"{self._settings.host}:{self._settings.metrics_port}"
            raise StartError(f"the metrics cannot listen on {where}: {e.strerror}; set TANDEM_METRICS_PORT") from e
        app = server.get_app()
        assert app is not None
        server.set_app(with_head(app))
        log.info("metrics served", extra={"address": f"http://{self._settings.host}:{server.server_port}/metrics"})

    # Catalog

    async def _follow_folders(self) -> None:
        """Hand every change of the model folders to the pools."""
        async for files in self._watch.changes():
            await self._pools.update(files)
            self._scanned = self._scanned or self._watch.whole
            await self._publish()

    async def _publish(self) -> None:
        """Send all web processes the state of everything; returns when they have switched to it."""
        self._serial += 1
        own = self._pools.entries()
        remote = self._remotes.entries({entry.name for entry in own if entry.code != NOT_SERVED})
        entries = tuple(sorted((*own, *remote), key=lambda entry: entry.name))
        if self._scanned and self._pools.settled and self._remotes.looked:
            self._complete = True
        self._measure(entries)
        self._endpoints.measure(entries)
        self._recorder.look(own, self._endpoints.in_force)
        pools, remotes, complete = self._pools.states(), dict(self._remotes.states), self._complete
        beside = self._draining, remotes, self._endpoints.in_force
        await self._hub.push(Snapshot(self._serial, entries, pools, complete, *beside))
        if complete:
            self._signalled.set()

    async def _announce(self, address: str) -> None:
        await self._web.started()
        await self._signalled.wait()
        log.info("ready", extra={"address": address, "models": sum(len(p.models.serving) for p in self._pools)})
        if self._on_ready is not None:
            self._on_ready(address)

    async def _tell_progress(self) -> None:
        """Log how far it has come while very many files are read and tried."""
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            read, of = self._pools.progress()
            if read < of:
                log.info(f"{read} of {of} models are read")

    # Metrics

    def _measure(self, entries: tuple[Entry, ...]) -> None:
        if entries != self._measured:  # a refilled worker changes none of them, and a thousand models take 20 ms
            self._measured = entries
            # tandem_remote_up says that a remote is not there; what is no model is no failure.
            shown = [entry for entry in entries if entry.code not in ("remote_unavailable", NOT_SERVED)]
            self._metrics.tell_states((entry.name, entry.version, entry.state) for entry in shown)
            for entry in shown:
                if entry.load_seconds is not None:
                    self._metrics.load_seconds.labels(entry.name).set(entry.load_seconds)
        self._measure_workers()

    def _measure_workers(self) -> None:
        for runtime, pools in self._by_runtime():
            missing = sum(max(0, pool.wanted - len(pool.pids())) for pool in pools)
            there = sum(len(pool.pids()) for pool in pools)
            self._metrics.workers.labels(runtime, "ready").set(there)
            self._metrics.capacity.labels(runtime).set(there)
            self._metrics.workers.labels(runtime, "missing").set(missing)
            locked = [sandbox.degree(pool.facts["sandbox"]) for pool in pools if pool.facts]
            if locked:
                self._metrics.sandbox_level.labels(runtime).set(min(locked))
        self._metrics.r_vulnerable.set(any(pool.r_is_vulnerable for pool in self._pools))

    def _by_runtime(self) -> list[tuple[str, list[Pool]]]:
        """Pools by the label that metrics have for them. A model's own pool goes with its runtime: labels stay few."""
        return [(runtime, [p for p in self._pools if p.plan.runtime == runtime]) for runtime in (*SHARED, "script")]

    async def _keep_house(self) -> None:
        orphans = Orphans()
        while True:
            orphans.reap()
            await asyncio.to_thread(self._metrics.sweep)
            for runtime, pools in self._by_runtime():
                pids = [pid for pool in pools for pid in pool.pids()]
                self._metrics.memory.labels(runtime).set(await asyncio.to_thread(proportional_bytes, pids))
            self._metrics.memory_used.set(used_memory_bytes())
            self._metrics.memory_granted.set(granted_memory_bytes())
            for gpu in await gpus.in_use() if gpus.count() else ():
                self._metrics.gpu_memory.labels(gpu.number).set(gpu.memory_bytes)
                if gpu.utilization is not None:
                    self._metrics.gpu_utilization.labels(gpu.number).set(gpu.utilization)
            await asyncio.sleep(SWEEP_EVERY_S)
