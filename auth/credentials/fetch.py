"""Asking an identity provider: a JSON object by GET, or by POST of a form.

The only network code of auth. Owns the bounds: https (http to the machine itself alone), no redirect, five seconds and
256 KiB in all, compressed or not. Must not know what is asked for. Whatever goes wrong is `ProviderUnavailable`, whose
words are for the log; only the status of a refusal is told apart, as `FetchRefused`.
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from auth.credentials.identity import is_safe_url
from auth.errors import ProviderUnavailable
from auth.jws import json_object

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S: Final = 5.0
MOST_BYTES: Final = 256 * 1024


class FetchRefused(ProviderUnavailable):
    """The identity provider answered with another status than 200."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url} answered {status}")
        self.status: Final = status


class Fetch:
    """Asks identity providers over the network."""

    def __init__(self, timeout_s: float = TIMEOUT_S, most_bytes: int = MOST_BYTES) -> None:
        import aiohttp  # which takes a tenth of a second: most servers have no identity provider

        self._aiohttp: Final = aiohttp
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes

    async def get(self, url: str) -> dict[str, Any]:
        """The JSON object at an address."""
        return await self._ask("GET", url)

    async def post(self, url: str, form: Mapping[str, str], login: tuple[str, str] | None = None) -> dict[str, Any]:
        """The JSON object that answers a form, which is sent by a client with this id and secret."""
        return await self._ask("POST", url, data=dict(form), headers=_basic(*login) if login else {})

    async def _ask(self, method: str, url: str, **content: Any) -> dict[str, Any]:
        aiohttp = self._aiohttp
        if not is_safe_url(url):
            raise ProviderUnavailable(f"{url!r} is not an https address")
        try:
            # One session for each: a provider is asked once an hour, and nothing is left open between.
            async with (
                asyncio.timeout(self._timeout_s),
                aiohttp.ClientSession(
                    cookie_jar=aiohttp.DummyCookieJar(), headers={"accept": "application/json"}
                ) as session,
                session.request(method, url, allow_redirects=False, **content) as response,
            ):
                if response.status != 200:
                    raise FetchRefused(url, response.status)
                return json_object(await self._body(response, url))
        except (aiohttp.ClientError, OSError) as problem:  # a TimeoutError is an OSError
            raise ProviderUnavailable(f"{url}: {problem or type(problem).__name__}") from problem
        except ValueError as problem:
            raise ProviderUnavailable(f"{url} answered what is no JSON object: {problem}") from problem

    async def _body(self, response: "aiohttp.ClientResponse", url: str) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_any():  # unpacked already, so a small bomb is bounded too
            body += piece
            if len(body) > self._most_bytes:
                raise ProviderUnavailable(f"{url} answered more than {self._most_bytes} bytes")
        return bytes(body)


def _basic(name: str, secret: str) -> dict[str, str]:
    both = f"{quote_plus(name)}:{quote_plus(secret)}"  # RFC 6749, 2.3.1
    return {"authorization": "Basic " + b64encode(both.encode()).decode()}
