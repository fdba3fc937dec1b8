"""Gunicorn's configuration: it keeps the web processes, and does nothing else."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Any

PR_SET_PDEATHSIG = 1

worker_class = "server.web.connection.gunicorn_worker.GunicornWorker"
preload_app = False
timeout = 60
control_socket_disable = True
proc_name = "tandem-web"
accesslog = None
loglevel = "warning"
logger_class = "server.web.connection.gunicorn_worker.JsonLogger"
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112 - gunicorn's heartbeat file


def on_starting(_: Any) -> None:
    """Die with the supervisor: web processes that nobody supervises would serve a frozen catalog."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
