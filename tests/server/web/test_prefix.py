"""The prefix under which a proxy shows this server: believed of trusted proxies, and of nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.web.prefix import KEY, Prefixed


@pytest.mark.parametrize(
    ("client", "said", "expected"),
    [
        *(("10.1.2.3", b"/tandem", "/tandem"), ("10.1.2.3", b"/a/b/", "/a/b"), ("10.1.2.3", b"evil", None)),
        *(("192.0.2.1", b"/tandem", None), ("10.1.2.3", b"//evil.example", None), ("10.1.2.3", b"/", None)),
    ],
)
def test_a_prefix_is_believed_of_a_trusted_proxy(client: str, said: bytes, expected: str | None) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope.get(KEY))

    scope = {"type": "http", "client": (client, 1), "headers": [(b"x-forwarded-prefix", said)]}
    nothing: Any = None
    asyncio.run(Prefixed(["10.0.0.0/8"], app)(scope, nothing, nothing))
    assert seen == [expected]
