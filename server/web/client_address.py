"""The address of the client that the nearest of the trusted proxies was asked by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class ClientAddresses:
    """Tells the address of a request's client, for code that runs before uvicorn's own middleware."""

    def __init__(self, proxies: list[str]) -> None:
        nothing: Any = None
        self._trusted = ProxyHeadersMiddleware(nothing, trusted_hosts=proxies).trusted_hosts

    def of(self, nearest: str, headers: Mapping[bytes, bytes]) -> str:
        """The client's address; that of the connection, `nearest`, where it is no trusted proxy's."""
        said = headers.get(b"x-forwarded-for")
        if not said or nearest not in self._trusted:
            return nearest
        host, _ = self._trusted.get_trusted_client_address(said.decode("latin-1"))
        return host or nearest
