"""Signing in with a real identity provider in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.harness.tandem import Tandem

pytestmark = pytest.mark.ship


def sign_in_there(page: Page, name: str) -> None:
    """Fill in the provider's own pages: who one is, and that Tandem may know."""
    page.fill("[name=login]", name)
    page.fill("[name=password]", "any")
    page.click("button[type=submit]")
    page.click("button[type=submit]:has-text('Continue')")


def signed_in_at(page: Page) -> float:
    told = page.evaluate("fetch('/auth/session').then((reply) => reply.json())")
    return float(told["signed_in_at"])


def test_a_person_signs_in_with_the_provider_reloads_confirms_and_signs_out(tandem: Tandem, page: Page) -> None:
    page.goto(f"{tandem.url}/")
    page.click("text=Sign in with your organisation")
    sign_in_there(page, "ann")
    page.wait_for_selector("#sign-out:not([hidden])")
    assert page.url == f"{tandem.url}/"
    (cookie,) = (one for one in page.context.cookies(tandem.url) if one["name"].startswith("__Host-tandem"))
    assert (cookie["name"], cookie["sameSite"], cookie["httpOnly"]) == ("__Host-tandem", "Strict", True)
    page.reload()
    page.wait_for_selector("#sign-out:not([hidden])")
    # Signed in there already, one is not asked again, unless it is to be confirmed.
    first = signed_in_at(page)
    page.goto(f"{tandem.url}/auth/oidc/idp/start?next=/docs")
    page.wait_for_url(f"{tandem.url}/docs")
    page.goto(f"{tandem.url}/auth/oidc/idp/start?next=/docs&again=true")
    page.fill("[name=login]", "ann")
    page.fill("[name=password]", "any")
    page.click("button[type=submit]")
    page.wait_for_url(f"{tandem.url}/docs")
    assert signed_in_at(page) >= first
    page.goto(f"{tandem.url}/")
    page.click("#sign-out")
    page.wait_for_selector("#sign-in:not([hidden])")
    assert not [one for one in page.context.cookies(tandem.url) if one["name"].startswith("__Host-")]


@pytest.mark.parametrize(
    "following", ["https://example.org/", "//example.org", "/\\example.org", "/console/..//x", "javascript:1"]
)
def test_nobody_is_sent_to_another_host_after_signing_in(tandem: Tandem, page: Page, following: str) -> None:
    page.goto(f"{tandem.url}/")
    path = f"/auth/oidc/idp/start?next={following}"
    assert page.evaluate("(path) => fetch(path, {redirect: 'manual'}).then((reply) => reply.status)", path) == 400
