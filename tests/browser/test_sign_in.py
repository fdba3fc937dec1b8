"""Signing in with a real browser, and what pages of other sites, ports and hosts can do to who is signed in."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Error, Page

from tests.browser.conftest import Site
from tests.harness.tandem import Tandem

pytestmark = pytest.mark.ship
SignIn = Callable[[], Page]


def test_a_wrong_password_is_told_on_the_page(tandem: Tandem, page: Page) -> None:
    page.goto(f"{tandem.url}/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", "not the password")
    page.click("text=Sign in")
    page.wait_for_selector("#refused:not(:empty)")
    assert page.inner_text("#refused") == "The name or the password is not right."
    assert page.is_hidden("#models")


def test_who_signs_in_sees_the_models_and_stays_signed_in_over_a_reload(sign_in: SignIn) -> None:
    page = sign_in()
    assert page.inner_text("#models tbody tr td") == "mpg"
    page.reload()
    page.wait_for_selector("#models tbody tr")
    assert page.is_hidden("#sign-in") and page.is_visible("#sign-out")


def test_no_script_can_read_what_one_is_signed_in_by(sign_in: SignIn) -> None:
    page = sign_in()
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("JSON.stringify([localStorage, sessionStorage])") == "[{},{}]"
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"]) == ("__Host-tandem", True, True)


def test_the_documentation_is_read_and_a_model_scored_without_signing_in_again(tandem: Tandem, sign_in: SignIn) -> None:
    page = sign_in()
    page.goto(f"{tandem.url}/docs")
    page.click(".opblock-summary:has-text('Score mpg')")
    with page.expect_response(lambda response: response.url.endswith("/score")) as scored:
        page.click("button.execute")
    assert scored.value.status == 200
    assert "authorization" not in scored.value.request.headers


def test_who_signs_out_is_out_in_every_tab_and_a_kept_cookie_is_of_no_use(tandem: Tandem, sign_in: SignIn) -> None:
    page = sign_in()
    (cookie,) = page.context.cookies()
    page.click("#sign-out")
    page.wait_for_selector("#sign-in:not([hidden])")
    assert page.context.cookies() == [] and page.is_hidden("#models")
    headers = {"sec-fetch-site": "same-origin", "cookie": f"{cookie['name']}={cookie['value']}"}
    assert httpx.get(f"{tandem.url}/v1/models", headers=headers).status_code == 401


# Other sites


def elsewhere(site: Site, host: str) -> str:
    """The address of a page on another port of the same host, or on another host."""
    return f"http://{host}:{site.port}"


ELSEWHERE = {"127.0.0.1": 403, "localhost": 401}
"""What a page of this host is answered, on another port, where the browser sends the cookie and it does not count; and
what one of another host is answered, where none is sent."""
FORM = """<form method="post" enctype="text/plain" action="{action}"><input name='{name}' value='{value}'></form>
<script>document.forms[0].submit()</script>"""


@pytest.mark.parametrize("host", ELSEWHERE)
def test_a_form_of_another_site_changes_nothing(tandem: Tandem, sign_in: SignIn, site: Site, host: str) -> None:
    page = sign_in()
    action = f"{tandem.url}/auth/accounts"
    value = '","kind":"service"}'
    site.pages["/form"] = FORM.format(action=action, name='{"name":"forged","role":"admin","about":"', value=value)
    with page.expect_response(action) as refused:
        page.goto(f"{elsewhere(site, host)}/form")
    assert refused.value.status == ELSEWHERE[host]
    assert "forged" not in tandem.get("/auth/accounts").text


@pytest.mark.parametrize("host", ELSEWHERE)
@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/auth/session"), ("POST", "/auth/session"), ("GET", "/auth/me")]
)
def test_a_script_of_another_site_neither_reads_nor_signs_anybody_in_or_out(
    tandem: Tandem, sign_in: SignIn, site: Site, host: str, method: str, path: str
) -> None:
    page = sign_in()
    other = page.context.new_page()
    site.pages["/script"] = "<p>hello</p>"
    other.goto(f"{elsewhere(site, host)}/script")
    body = ', body: JSON.stringify({name: "admin", password: "x"})' if method == "POST" else ""
    for mode in ("cors", "no-cors"):
        asked = f"fetch('{tandem.url}{path}', {{method: '{method}', mode: '{mode}', credentials: 'include'{body}}})"
        script = f"{asked}.then((reply) => reply.text(), () => 'refused')"
        try:
            told = other.evaluate(script)
        except Error:
            told = "refused"
        assert told in ("refused", "")
    page.reload()
    page.wait_for_selector("#models tbody tr")


@pytest.mark.parametrize("host", ELSEWHERE)
def test_a_picture_or_a_link_of_another_site_shows_nothing_of_the_session(
    tandem: Tandem, sign_in: SignIn, site: Site, host: str
) -> None:
    page = sign_in()
    site.pages["/link"] = f'<a href="{tandem.url}/v1/models">models</a>'
    page.goto(f"{elsewhere(site, host)}/link")
    with page.expect_response(f"{tandem.url}/v1/models") as refused:
        page.click("a")
    assert refused.value.status == ELSEWHERE[host]


@pytest.mark.parametrize("host", ELSEWHERE)
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_no_page_is_shown_within_a_page_of_another_site(
    tandem: Tandem, sign_in: SignIn, site: Site, host: str, path: str
) -> None:
    page = sign_in()
    other = page.context.new_page()
    site.pages["/frame"] = f'<iframe src="{tandem.url}{path}"></iframe>'
    with other.expect_response(tandem.url + path) as framed:
        other.goto(f"{elsewhere(site, host)}/frame")
    assert "frame-ancestors 'none'" in framed.value.headers["content-security-policy"]
    other.wait_for_load_state("networkidle")
    assert not any(frame.url.startswith(tandem.url) for frame in other.frames)


def test_a_cookie_that_another_port_planted_signs_nobody_in(tandem: Tandem, site: Site, page: Page) -> None:
    """The prefix of the cookie's name: a page over plain http cannot set it, nor can one for a whole domain."""
    site.pages["/plant"] = "<script>document.cookie = '__Host-tandem=planted; path=/'</script>"
    page.goto(f"http://127.0.0.1:{site.port}/plant")
    assert page.context.cookies() == []
