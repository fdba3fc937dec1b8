"""HEAD: what GET would be answered, without the body."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.harness.tandem import Tandem


def test_head_is_answered_as_get_without_the_body(tandem_factory: Callable[..., Tandem]) -> None:
    tandem = tandem_factory().start()
    for path in ("/", "/health/live", "/docs", "/openapi.json", "/v1/models", "/assets/console.js"):
        got, headed = (httpx.request(m, tandem.url + path, headers=tandem.headers()) for m in ("GET", "HEAD"))
        assert (headed.status_code, headed.content) == (got.status_code, b"") == (200, b"")
        assert headed.headers["content-length"] == str(len(got.content))
    got, headed = (httpx.request(method, tandem.metrics_url) for method in ("GET", "HEAD"))
    assert (headed.status_code, headed.content) == (got.status_code, b"") == (200, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]
    assert int(headed.headers["content-length"]) > 1000
    refused = httpx.head(f"{tandem.url}/auth/token")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert httpx.post(f"{tandem.url}/docs").headers["allow"] == "GET, HEAD"
