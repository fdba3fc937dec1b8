"""Azure's own emulator of its Blob storage: Azurite from npm, in a process of its own on loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.harness.tandem import eventually, free_port

HERE = Path(__file__).parent
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The emulator's own account, which is the same everywhere and opens nothing else."""


class Azurite:
    """The emulator's address, and what a client takes from the environment to use it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/{ACCOUNT}"
        self.environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": self.url,
        }

    def make_container(self, name: str) -> str:
        """Make a container, and give the address of a store in it."""
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
        named = "".join(f"{header}:{value}\n" for header, value in headers.items())
        text = f"PUT{12 * chr(10)}{named}/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        signature = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
        headers["authorization"] = f"SharedKey {ACCOUNT}:{signature}"
        httpx.put(f"{self.url}/{name}", params={"restype": "container"}, headers=headers).raise_for_status()
        return f"az://{name}/team"


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One emulator, in which each test makes containers of its own."""
    folder = tmp_path_factory.mktemp("azurite")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(install, cwd=folder, env=os.environ | {"CI": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    port = free_port()
    # Without --disableTelemetry it calls out.
    options = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--blobPort", str(port)]
    process = subprocess.Popen([folder / "node_modules/.bin/azurite-blob", *options, "--location", folder / "data"])
    try:
        eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/").status_code, timeout_s=60)
        yield Azurite(port)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def store(azurite: Azurite, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The address of a store in a container of the test's own."""
    for name, value in azurite.environment.items():
        monkeypatch.setenv(name, value)
    return azurite.make_container(hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:40])
