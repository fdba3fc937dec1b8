"""A browser: Debian's Chromium, driven by Playwright. And a site that is not Tandem's, to attack from."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.harness.tandem import ROOT, Tandem


@pytest.fixture(scope="module")  # Playwright holds an event loop, which other modules must not meet
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "scripts/install-system.sh ship installs it"
    with sync_playwright() as playwright:
        # Root has no sandbox in a container; nothing foreign is opened here.
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that knows nothing yet."""
    found = browser.new_context(viewport={"width": 1200, "height": 800})
    found.set_default_timeout(20_000)
    yield found
    found.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page of it; a script of ours that fails, or that the page's policy stops, fails the test."""
    found = context.new_page()
    failed: list[str] = []
    found.on("pageerror", lambda error: failed.append(str(error)))
    found.on("console", lambda said: failed.append(said.text) if "Content Security Policy" in said.text else None)
    yield found
    assert failed == []


@pytest.fixture(scope="module")
def tandem(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    server = Tandem(tmp_path_factory.mktemp("tandem"), docs="login")
    for name in ("mpg.rds", "mpg.yaml"):
        shutil.copy(ROOT / "r_models" / name, server.r_models)
    yield server.start()
    assert server.stop() == 0


class Site:
    """Pages of somebody else, on a port of their own."""

    def __init__(self, port: int, pages: dict[str, str]) -> None:
        self.port = port
        self.pages = pages


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(server.server_address[1], pages)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sign_in(tandem: Tandem, page: Page) -> Callable[[], Page]:
    """Signs in on the page at `/`, as a person does."""
    password = (tandem.folder / "data" / "admin-password").read_text().strip()

    def go() -> Page:
        page.goto(f"{tandem.url}/")
        page.fill("[name=username]", "admin")
        page.fill("[name=password]", password)
        page.click("text=Sign in")
        page.wait_for_selector("#models tbody tr")
        return page

    return go
