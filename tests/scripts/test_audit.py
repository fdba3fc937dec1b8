"""The audit of the locks: a vulnerable version fails it, and where nobody knows what is vulnerable it does not pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.harness.tandem import ROOT

KNOWN = ("django", "3.0.2")


class Advisories(ThreadingHTTPServer):
    """A source of advisories as OSV is one, which knows what the test says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.known: dict[tuple[str, str], str] = {}
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/query"


class Answer(BaseHTTPRequestHandler):
    server: Advisories

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = query["package"]["name"], query["version"]
        self.server.asked.append(asked)
        body = json.dumps(self._found(*asked)).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _found(self, name: str, version: str) -> dict[str, Any]:
        if (name, version) not in self.server.known:
            return {}
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}]
        affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
        return {"vulns": [{"id": self.server.known[name, version], "summary": "bad", "affected": affected}]}

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def advisories() -> Iterator[Advisories]:
    server = Advisories()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def audited(advisories: Advisories, *locks: Path) -> tuple[int, str]:
    """The exit status and what is said."""
    environment = os.environ | {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": advisories.url}
    environment |= {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, ROOT / "scripts/audit.py", *locks]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def lock(folder: Path, *pins: str) -> Path:
    """A lock as uv writes them, with a hash for each pin."""
    path = folder / "some.lock"
    path.write_text("".join(f"{pin} \\\n    --hash=sha256:{'0' * 64}\n    # via -r some.in\n" for pin in pins))
    return path


def test_a_locked_version_of_which_an_advisory_is_known_is_named_and_fails(
    advisories: Advisories, tmp_path: Path
) -> None:
    advisories.known = {KNOWN: "PYSEC-1", ("uvicorn", "0.54.0"): "PYSEC-2"}
    status, said = audited(advisories, lock(tmp_path, "fastapi==0.163.2", "uvicorn==0.54.0"))
    assert status == 1
    assert "some.lock: uvicorn 0.54.0: PYSEC-2, mended in 99.0\n" in said
    assert said.endswith("audited by osv: 2 packages of 1 locks, 1 advisories\n")


def test_versions_of_which_nothing_is_known_pass(advisories: Advisories, tmp_path: Path) -> None:
    advisories.known = {KNOWN: "PYSEC-1"}
    status, said = audited(advisories, lock(tmp_path, "fastapi==0.163.2"))
    assert (status, said) == (0, "audited by osv: 1 packages of 1 locks, no advisories\n")
    assert advisories.asked == [KNOWN, ("fastapi", "0.163.2")]


def test_a_source_that_does_not_know_what_is_known_audits_nothing(advisories: Advisories, tmp_path: Path) -> None:
    status, said = audited(advisories, lock(tmp_path, "uvicorn==0.54.0"))
    assert status == 75
    assert said == "advisories cannot be reached: not audited (osv knows nothing of django==3.0.2)\n"
    assert advisories.asked == [KNOWN]


def test_a_source_that_does_not_answer_audits_nothing(advisories: Advisories, tmp_path: Path) -> None:
    advisories.shutdown()
    advisories.server_close()
    status, said = audited(advisories, lock(tmp_path, "uvicorn==0.54.0"))
    assert (status, said[:75]) == (75, "advisories cannot be reached: not audited (osv: requests.exceptions.Connect")


def test_every_lock_is_audited() -> None:
    locks = [path.relative_to(ROOT) for path in ROOT.rglob("*.lock")]
    folders = {path.parent for path in locks if not any(part.startswith(".") for part in path.parts)}
    source = (ROOT / "scripts/audit.py").read_text()
    assert all(f'"{folder / "*.lock"}"' in source for folder in folders)
