"""HEAD where the metrics are served: the library answers GET alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def with_head(app: WSGIApplication) -> WSGIApplication:
    """The same application, which also answers HEAD: as GET, without the body."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "HEAD":
            return app(environ, start_response)
        heads: list[tuple[str, list[tuple[str, str]]]] = []

        def begin(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
            heads.append((status, headers))
            return BytesIO().write

        body = b"".join(app({**environ, "REQUEST_METHOD": "GET"}, begin))
        status, headers = heads[0]
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [b""]

    return answer
