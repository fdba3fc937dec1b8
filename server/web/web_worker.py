"""The classes that gunicorn is given: uvicorn with what Tandem wants of it, and a logger that writes JSON."""

from __future__ import annotations

from typing import Any, ClassVar

from gunicorn.glogging import Logger
from uvicorn_worker import UvicornWorker

from server.logs import JsonFormatter
from server.web.protocol import Protocol


class JsonLogger(Logger):  # type: ignore[misc]
    """Gunicorn's own messages in the form of all others."""

    def setup(self, cfg: Any) -> None:
        """Configure as gunicorn does, with our formatter."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())


class WebWorker(UvicornWorker):  # type: ignore[misc]
    """uvloop; httptools with joined writes; no Server header; our own logging."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": Protocol,
        "lifespan": "on",
        "server_header": False,
        "proxy_headers": False,
        "access_log": False,
    }
