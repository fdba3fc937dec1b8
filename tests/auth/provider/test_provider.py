"""Tandem with a real identity provider."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.auth.provider.conftest import IdentityProvider
from tests.harness.tandem import Tandem

pytestmark = pytest.mark.ship


def me(tandem: Tandem, token: str) -> httpx.Response:
    return httpx.get(f"{tandem.url}/auth/me", headers={"authorization": f"Bearer {token}"})


def test_a_program_is_let_in_by_the_access_token_of_its_provider(tandem: Tandem, provider: IdentityProvider) -> None:
    answer = me(tandem, provider.token_of_program())
    assert answer.status_code == 200, answer.text
    assert (answer.json()["name"], answer.json()["role"]) == ("idp:batch", "scorer")


def test_the_provider_rolls_its_key_and_the_next_token_is_good(tandem: Tandem, provider: IdentityProvider) -> None:
    before = provider.token_of_program()
    assert me(tandem, before).status_code == 200
    provider.roll()
    assert me(tandem, provider.token_of_program()).status_code == 200


# Signing in


class Browser:
    """Follows what it is told to, and keeps cookies; httpx would not send Secure ones to http, as browsers do here."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str], str] = {}

    def ask(self, method: str, url: str, **content: Any) -> httpx.Response:
        host = urlsplit(url).netloc
        cookies = "; ".join(f"{name}={value}" for (of, name), value in self._cookies.items() if of == host)
        answer = httpx.request(method, url, headers={"cookie": cookies} | content.pop("headers", {}), **content)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[host, name] = value
        return answer

    def cookie(self, url: str, name: str) -> str:
        return self._cookies.get((urlsplit(url).netloc, name), "")

    def sign_in(self, url: str, name: str) -> httpx.Response:
        """Begin at `url` and go on, as `name`, until a page of Tandem answers the provider's redirect."""
        answer = self.ask("GET", url)
        for _ in range(20):
            if urlsplit(str(answer.request.url)).path.endswith("/callback"):
                return answer
            if answer.is_redirect:
                answer = self.ask("GET", urljoin(str(answer.request.url), answer.headers["location"]))
                continue
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            action = re.search(r'action="([^"]+)"', answer.text)
            assert prompt and action, answer.text
            form = {"prompt": prompt[1], "login": name, "password": "any"}
            answer = self.ask("POST", urljoin(str(answer.request.url), action[1]), data=form)
        raise AssertionError("it goes round in circles")


OURS = {"sec-fetch-site": "same-origin"}


def test_a_person_signs_in_and_out(tandem: Tandem) -> None:
    assert httpx.get(f"{tandem.url}/auth/providers").json() == [{"name": "idp", "title": "your organisation"}]
    browser = Browser()
    answer = browser.sign_in(f"{tandem.url}/auth/oidc/idp/start?next=/docs", "ann")
    assert (answer.status_code, answer.headers["location"]) == (303, "/docs"), answer.text
    for line in answer.headers.get_list("set-cookie"):
        assert {"Path=/", "Secure", "HttpOnly"} <= set(line.split("; "))
    me = browser.ask("GET", f"{tandem.url}/auth/me", headers=OURS)
    assert (me.json()["name"], me.json()["role"]) == ("idp:ann", "analyst")
    cookie = browser.cookie(tandem.url, "__Host-tandem")
    assert browser.ask("GET", f"{tandem.url}/auth/me", headers={"sec-fetch-site": "same-site"}).status_code == 403
    assert (
        browser.ask("DELETE", f"{tandem.url}/auth/session", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    )
    assert browser.ask("DELETE", f"{tandem.url}/auth/session", headers=OURS).status_code == 204
    again = httpx.get(f"{tandem.url}/auth/me", headers=OURS | {"cookie": f"__Host-tandem={cookie}"})
    assert again.status_code == 401


def test_a_code_is_good_once_and_only_for_the_browser_that_asked(tandem: Tandem) -> None:
    browser = Browser()
    answer = browser.sign_in(f"{tandem.url}/auth/oidc/idp/start", "ann")
    url = str(answer.request.url)
    assert answer.status_code == 303
    assert httpx.get(url).status_code == 400  # another browser
    assert browser.ask("GET", url).status_code == 400  # what it kept is gone
    kept = answer.request.headers["cookie"]
    assert httpx.get(url, headers={"cookie": kept}).status_code == 400  # the provider swaps a code once


def test_somebody_without_a_role_here_gets_no_session(tandem: Tandem) -> None:
    answer = Browser().sign_in(f"{tandem.url}/auth/oidc/idp/start", "bob")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "__Host-tandem=" not in str(answer.headers.get_list("set-cookie"))
