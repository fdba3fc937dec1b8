"""The stop of a web process: whoever got through to the kernel is answered."""

from __future__ import annotations

import asyncio
import socket
from functools import partial

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config

from server.config import Settings
from server.web.connection.gunicorn_worker import Server
from server.web.connection.limits import ConnectionLimits
from server.web.connection.protocol import Protocol
from tests.server.web.connection.test_protocol import NoRoute


async def _answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def test_a_connection_that_nobody_has_accepted_yet_is_answered_before_the_stop() -> None:
    async def scenario() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        address = listener.getsockname()
        limits = ConnectionLimits(Settings())
        config = Config(_answers, interface="asgi3", lifespan="off", log_config=None)
        config.http = partial(Protocol, limits, NoRoute())  # type: ignore[assignment]  # anything that makes a protocol will do
        config.load()
        server = Server(config, limits)
        server.lifespan = config.lifespan_class(config)
        await server.startup([listener])
        with socket.create_connection(address) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            await server.shutdown([listener])
            reply = client.recv(1 << 16)
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in reply
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)

    asyncio.run(scenario())
