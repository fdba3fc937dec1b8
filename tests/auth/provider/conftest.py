"""A real identity provider: `oidc-provider` from npm, in a process of its own on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.auth.conftest import write
from tests.browser.conftest import browser as browser
from tests.browser.conftest import context as context
from tests.browser.conftest import page as page
from tests.harness.tandem import Tandem, eventually, free_port

HERE = Path(__file__).parent
RESOURCE = "api://tandem"
CLAIMS = {
    "ann": {"roles": ["analysts"], "name": "Ann"},
    "bob": {"roles": ["strangers"], "name": "Bob"},
    "batch": {"roles": ["scorers"]},
}


class IdentityProvider:
    """The provider, and what is asked of it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def token_of_program(self) -> str:
        """An access token by client credentials."""
        form = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": "Models.Score"}
        answer = httpx.post(f"{self.url}/token", data=form, auth=("batch", "batch-secret"))
        return str(answer.raise_for_status().json()["access_token"])

    def roll(self) -> None:
        """A new signing key in place of the old one."""
        httpx.post(f"{self.url}/test/roll").raise_for_status()


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the provider's packages are installed by the lock file."""
    folder = tmp_path_factory.mktemp("identity-provider")
    for name in ("package.json", "package-lock.json", "serve.mjs"):
        shutil.copy(HERE / name, folder)
    # Node 20 runs it; its own wish for a newer one is a warning.
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(install, cwd=folder, env=os.environ | {"CI": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def tandem_port() -> int:
    """The port that the provider sends browsers back to."""
    return free_port()


@pytest.fixture(scope="session")
def provider(packages: Path, tandem_port: int) -> Iterator[IdentityProvider]:
    url = f"http://127.0.0.1:{free_port()}"
    settings = {"callback": f"http://127.0.0.1:{tandem_port}/auth/oidc/idp/callback", "resource": RESOURCE}
    about = {"TEST_SETTINGS": json.dumps(settings), "TEST_CLAIMS": json.dumps(CLAIMS)}
    with (packages / "log").open("wb") as log:
        process = subprocess.Popen(
            ["node", "serve.mjs", url], cwd=packages, env=os.environ | about, stdout=log, stderr=log
        )
    try:
        eventually(lambda: httpx.get(f"{url}/.well-known/openid-configuration").status_code == 200)
        yield IdentityProvider(url)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def tandem(provider: IdentityProvider, tandem_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    folder = tmp_path_factory.mktemp("tandem")
    lines = (
        "[idp]",
        f'issuer = "{provider.url}"',
        f'audiences = ["{RESOURCE}"]',
        'map = { analysts = "analyst", scorers = "scorer" }',
        'client_id = "console"',
        f'client_secret_file = "{write(folder / "secret", "console-secret")}"',
        f'redirects = ["http://127.0.0.1:{tandem_port}/auth/oidc/idp/callback"]',
    )
    server = Tandem(folder, identity=write(folder / "identity.toml", *lines), port=tandem_port)
    server.port = tandem_port
    server.url = f"http://127.0.0.1:{tandem_port}"
    try:
        yield server.start()
    finally:
        server.stop()
