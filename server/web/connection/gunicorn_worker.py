"""The classes that gunicorn is given: uvicorn with what Tandem wants of it, and a logger that writes JSON."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

import uvicorn
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from uvicorn_worker import UvicornWorker

from server.logs import JsonFormatter
from server.web.connection.limits import SPARE_CONNECTIONS, ConnectionLimits
from server.web.connection.protocol import Protocol

log = logging.getLogger(__name__)

ANSWER_MARGIN_S = 5.0
"""What answering all that was accepted may take, at the stop, beyond a request's own time."""
BEAT_EVERY_S = 5.0
OTHER_FILES = 512
"""Descriptors for all that is not a client: workers' connections, metrics, accounts, the loop's own."""


class JsonLogger(Logger):  # type: ignore[misc]
    """Gunicorn's own messages in the form of all others."""

    def setup(self, cfg: Any) -> None:
        """Configure as gunicorn does, with our formatter."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())


class GunicornWorker(UvicornWorker):  # type: ignore[misc]
    """uvloop; our protocol; no Server header; our own logging."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",
        "server_header": False,
        "proxy_headers": False,
        "access_log": False,
    }

    def run(self) -> None:
        """Serve until told to stop."""
        limits = ConnectionLimits(self.wsgi.settings, self.wsgi.metrics.edge_refusal)
        _allow_files(limits.max_connections + SPARE_CONNECTIONS + OTHER_FILES)
        self.config.app = self.wsgi
        self.config.http = partial(Protocol, limits, self.wsgi.scoring)
        self.config.timeout_graceful_shutdown = self.wsgi.settings.timeout_s + ANSWER_MARGIN_S
        self._server = Server(self.config, limits)
        super().run()

    async def _serve(self) -> None:
        self._install_sigquit_handler()
        beating = asyncio.create_task(self._beat())
        try:
            await self._server.serve(sockets=self.sockets)
        finally:
            beating.cancel()
        if not self._server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def _beat(self) -> None:
        """Tell gunicorn that we live; uvicorn ceases to at the stop, and gunicorn would kill us in the long answers."""
        while True:
            self.notify()
            await asyncio.sleep(BEAT_EVERY_S)


class Server(uvicorn.Server):
    """uvicorn's server; at the stop it serves whom the kernel has let in already."""

    def __init__(self, config: uvicorn.Config, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self._limits = limits

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take the connections that wait, close the listening sockets, and serve until nobody is left.

        The clients of those connections have sent their requests, and to close the socket would reset them.
        """
        self._limits.draining = True
        attaching = asyncio.create_task(self._attach(_accepted(sockets or [])))
        await super().shutdown(sockets)
        await attaching

    async def _attach(self, connections: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        made: Any = self.config.http_protocol_class
        protocol = partial(made, config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        for connection in connections:
            with suppress(OSError):  # it has gone already
                await loop.connect_accepted_socket(protocol, connection)


def _accepted(listeners: list[socket.socket]) -> list[socket.socket]:
    connections: list[socket.socket] = []
    for listener in listeners:
        with suppress(OSError):  # nobody waits any more
            while True:
                connections.append(listener.accept()[0])
    return connections


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files: many systems start a process with 1,024, which refuses clients at the kernel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        reason = f"TANDEM_MAX_CONNECTIONS needs {wanted} open files, {allowed} are allowed; raise the limit (ulimit -n)"
        log.warning("not so many connections can be held", extra={"reason": reason})
