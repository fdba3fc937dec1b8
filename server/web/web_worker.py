"""The gunicorn worker class: uvicorn with what Tandem wants of it."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn_worker import UvicornWorker


class WebWorker(UvicornWorker):  # type: ignore[misc]
    """uvloop and httptools; no Server header; our own logging."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": "httptools",
        "lifespan": "on",
        "server_header": False,
        "proxy_headers": False,
        "access_log": False,
    }
