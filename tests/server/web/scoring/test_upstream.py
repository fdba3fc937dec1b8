"""HTTP to another server: connections are reused where that is safe, and bodies go both ways at the receiver's pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from server.web.scoring import upstream as module
from server.web.scoring.upstream import HELD_BYTES, Broken, Upstream, origin

LENGTH = (b"content-length", b"2")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Answers each request with what the test wants, and remembers which connection each came by."""

    def __init__(self) -> None:
        self.answer = OK
        self.connections = 0
        self.requests: list[tuple[int, bytes]] = []
        self.hangs_up = False

    async def start(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return Upstream(f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        mine = self.connections
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = await self._body(head, reader)
                self.requests.append((mine, body))
                writer.write(self.answer)
                await writer.drain()
                if self.hangs_up:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _body(self, head: bytes, reader: asyncio.StreamReader) -> bytes:
        if b"content-length: " in head:
            return await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body

    def stop(self) -> None:
        self._server.close()


def played(scene: Callable[[Server, Upstream], Awaitable[None]]) -> Server:
    async def run() -> Server:
        server = Server()
        upstream = await server.start()
        try:
            async with asyncio.timeout(20):
                await scene(server, upstream)
        finally:
            upstream.close()
            server.stop()
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0)  # polls: the server's ends see that theirs are closed
        return server

    return asyncio.run(run())


async def asked(upstream: Upstream, body: bytes | AsyncIterator[bytes] = b"hi") -> bytes | None:
    response = await upstream.send(b"POST", "/a", [LENGTH] if isinstance(body, bytes) else [], body)
    try:
        return response.body()
    finally:
        response.cancel()


async def parts(*given: bytes) -> AsyncIterator[bytes]:
    for part in given:
        yield part
        await asyncio.sleep(0)


def test_one_connection_serves_requests_that_follow_each_other() -> None:
    async def scene(_: Server, upstream: Upstream) -> None:
        for _ in range(3):
            assert await asked(upstream) == b"ok"

    assert played(scene).requests == [(1, b"hi")] * 3


def test_requests_at_once_have_a_connection_each() -> None:
    async def scene(_: Server, upstream: Upstream) -> None:
        assert await asyncio.gather(*(asked(upstream) for _ in range(8))) == [b"ok"] * 8

    assert played(scene).connections == 8


def test_a_connection_is_not_used_beyond_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_EVERY_S", 0.0)

    async def scene(_: Server, upstream: Upstream) -> None:
        await asked(upstream)
        await asked(upstream)

    assert played(scene).connections == 2


def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async def scene(server: Server, upstream: Upstream) -> None:
        server.hangs_up = True
        assert await asked(upstream) == b"ok"
        while upstream._idle:
            await asyncio.sleep(0)  # polls: `played` bounds it
        assert await asked(upstream) == b"ok"

    assert played(scene).connections == 2


def test_a_body_in_parts_is_sent_in_chunks_and_its_connection_used_again() -> None:
    async def scene(_: Server, upstream: Upstream) -> None:
        assert await asked(upstream, parts(b"one", b"", b"two")) == b"ok"
        assert await asked(upstream) == b"ok"

    assert played(scene).requests == [(1, b"onetwo"), (1, b"hi")]


def test_an_answer_before_the_end_of_the_request_is_the_connections_last() -> None:
    async def scene(server: Server, upstream: Upstream) -> None:
        asking = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"0123456789"
            await asking.wait()
            while True:
                yield bytes(1 << 16)
                await asyncio.sleep(0)

        async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            server.connections += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK.replace(b"200 OK", b"413 Content Too Large"))
            asking.set()
            while await reader.read(1 << 16):
                pass
            writer.close()

        listener = await asyncio.start_server(early, "127.0.0.1", 0)
        other = Upstream(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
        response = await other.send(b"POST", "/a", [], endless())
        assert (response.status, response.body()) == (413, b"ok")
        assert other._idle == []
        other.close()
        listener.close()

    played(scene)


def test_a_long_answer_comes_in_parts_and_is_read_no_faster_than_it_is_taken() -> None:
    length = 8 * HELD_BYTES

    async def scene(server: Server, upstream: Upstream) -> None:
        server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length + bytes(length)
        response = await upstream.send(b"POST", "/a", [LENGTH], b"hi")
        assert response.body() is None
        assert response._held_bytes < 2 * HELD_BYTES
        assert sum([len(part) async for part in response.parts()]) == length
        server.answer = OK
        assert await asked(upstream) == b"ok"

    assert played(scene).connections == 1


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", b"HTTP/1.1 101 X\r\nupgrade: x\r\n\r\n"],
)
def test_what_is_no_answer_is_broken_and_the_next_request_is_not_harmed(answer: bytes) -> None:
    async def scene(server: Server, upstream: Upstream) -> None:
        server.answer, server.hangs_up = answer, True
        with pytest.raises(Broken):
            await asked(upstream)
        server.answer, server.hangs_up = OK, False
        assert await asked(upstream) == b"ok"

    played(scene)


def test_nobody_there_is_broken() -> None:
    async def scene(server: Server, upstream: Upstream) -> None:
        server.stop()
        with pytest.raises(Broken):
            await asked(upstream)

    played(scene)


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    """Else they would be taken for the answer to the next request."""

    async def scene(server: Server, upstream: Upstream) -> None:
        server.answer = OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nev"
        assert await asked(upstream) == b"ok"
        server.answer = OK
        assert await asked(upstream) == b"ok"

    assert played(scene).connections == 2


def test_an_address_is_its_server_and_its_path() -> None:
    assert origin("https://a.example:8443/v1/models/a/score?x=1") == (
        "https://a.example:8443",
        "/v1/models/a/score?x=1",
    )
