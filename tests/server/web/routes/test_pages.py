"""The pages for a browser."""

from __future__ import annotations

import re
from collections.abc import Callable

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


def test_where_no_passwords_are_taken_nobody_signs_in_by_one_and_no_page_asks_for_it(
    tandem: Tandem, tandem_factory: Callable[..., Tandem]
) -> None:
    closed = tandem_factory(passwords="off").start()
    password = (closed.folder / "data" / "admin-password").read_text()
    form = {"grant_type": "password", "username": "admin", "password": password}
    assert httpx.post(f"{closed.url}/auth/token", data=form).status_code == 400
    shown, ours = {"name": "admin", "password": password}, {"sec-fetch-site": "same-origin"}
    assert httpx.post(f"{closed.url}/auth/session", json=shown, headers=ours).status_code == 401
    assert closed.get("/v1/models").status_code == 200, "a token from the command line is good"
    for path in ("/", "/docs"):
        said = [httpx.get(one.url + path, headers={"accept": "text/html"}).text for one in (tandem, closed)]
        assert ["no-passwords" in page for page in said] == [False, True]


def test_the_root_is_healthy_for_machines(tandem: Tandem) -> None:
    assert httpx.get(tandem.url).text == "Healthy"
