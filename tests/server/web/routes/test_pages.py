"""The pages for a browser."""

from __future__ import annotations

import re

import httpx

from tests.harness.tandem import Tandem


def test_pages_load_nothing_from_another_host(tandem: Tandem) -> None:
    for path in ("/docs", "/"):
        page = httpx.get(tandem.url + path, headers={"accept": "text/html"})
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for source in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert source.startswith("/")
            assert httpx.get(tandem.url + source).status_code == 200, source


def test_the_root_is_healthy_for_machines(tandem: Tandem) -> None:
    assert httpx.get(tandem.url).text == "Healthy"
