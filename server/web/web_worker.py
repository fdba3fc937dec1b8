"""The gunicorn worker class: uvicorn with what Tandem wants of it."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn_worker import UvicornWorker

from server.web.protocol import Protocol


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
