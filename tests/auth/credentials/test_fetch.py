"""A provider is asked within bounds: of time, of size, of where it may lead us. Against a real server on loopback."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from auth.credentials.fetch import Fetch, FetchRefused
from auth.errors import ProviderUnavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def good(_: web.Request) -> web.StreamResponse:
    return web.Response(text='{"answer": 42}')  # of a media type that is not JSON's: some providers do that


async def never(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


async def drops(request: web.Request) -> web.StreamResponse:
    """A byte now and then, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.01)


async def large(_: web.Request) -> web.StreamResponse:
    return web.Response(text='{"a": "' + "x" * 2000 + '"}')


async def bomb(_: web.Request) -> web.StreamResponse:
    body = gzip.compress(b'{"a": "' + b"x" * (8 << 20) + b'"}')
    return web.Response(body=body, headers={"content-encoding": "gzip"})


async def elsewhere(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/good")


async def broken(_: web.Request) -> web.StreamResponse:
    return web.Response(text='{"a": 1')


async def array(_: web.Request) -> web.StreamResponse:
    return web.Response(text="[1]")


async def twice(_: web.Request) -> web.StreamResponse:
    return web.Response(text='{"a": 1, "a": 2}')


async def deep(_: web.Request) -> web.StreamResponse:
    return web.Response(text='{"a":' * 150 + "1" + "}" * 150 + "]")


async def html(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503, text="<html>")


async def form(request: web.Request) -> web.StreamResponse:
    sent = await request.post()
    return web.json_response({"code": sent["code"], "login": request.headers.get("authorization")})


PATHS: dict[str, Handler] = {
    f"/{handler.__name__}": handler
    for handler in (good, never, drops, large, bomb, elsewhere, broken, array, twice, deep, html, form)
}


def asking(fetch: Fetch, path: str, **post: object) -> dict[str, object]:
    async def ask() -> dict[str, object]:
        app = web.Application()
        for place, handler in PATHS.items():
            app.router.add_route("*", place, handler)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
        try:
            return await (fetch.post(url, **post) if post else fetch.get(url))  # type: ignore[arg-type]
        finally:
            await runner.cleanup()

    return asyncio.run(ask())


def test_an_object_is_read_whatever_its_media_type() -> None:
    assert asking(Fetch(), "/good") == {"answer": 42}


def test_a_form_is_sent_with_the_clients_name_and_secret() -> None:
    answer = asking(Fetch(), "/form", form={"code": "c"}, login=("app", "secret"))
    assert answer == {"code": "c", "login": "Basic YXBwOnNlY3JldA=="}


@pytest.mark.parametrize("path", ["/never", "/drops"])
def test_who_is_slow_is_not_waited_for(path: str) -> None:
    with pytest.raises(ProviderUnavailable):
        asking(Fetch(timeout_s=0.3), path)


@pytest.mark.parametrize("path", ["/large", "/bomb"])
def test_what_is_too_large_is_not_read_to_its_end(path: str) -> None:
    with pytest.raises(ProviderUnavailable, match="more than 1000 bytes"):
        asking(Fetch(most_bytes=1000), path)


@pytest.mark.parametrize("path", ["/elsewhere", "/html", "/absent"])
def test_no_redirect_is_followed_and_no_failure_is_read(path: str) -> None:
    with pytest.raises(FetchRefused):
        asking(Fetch(), path)


@pytest.mark.parametrize("path", ["/broken", "/array", "/twice", "/deep"])
def test_what_is_no_object_that_names_nothing_twice_is_not_taken(path: str) -> None:
    with pytest.raises(ProviderUnavailable, match="no JSON object"):
        asking(Fetch(), path)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "https://",
        "ftp://127.0.0.1/x",
        "http://127.0.0.1.example.org/",
        "https://a:b@example.org/",
    ],
)
def test_an_address_that_is_not_safe_is_not_asked(url: str) -> None:
    with pytest.raises(ProviderUnavailable, match="not an https address"):
        asyncio.run(Fetch().get(url))


def test_nobody_at_home_is_unavailable() -> None:
    with pytest.raises(ProviderUnavailable):
        asyncio.run(Fetch().get("http://127.0.0.1:9/x"))
