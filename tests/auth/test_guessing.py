"""Passwords that are guessed by the program that attackers use, while their owner signs in."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.tandem import Tandem

pytestmark = pytest.mark.ship

PASSWORD = "horse battery staple"
HOME = "127.0.0.2"
"""Where the owner is; the attacker is at 127.0.0.1."""
WAYS = {
    "the form": ["http-post-form", "/auth/token:grant_type=password&username=^USER^&password=^PASS^:F=error"],
    "Basic": ["http-get", "/auth/me"],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    tandem = Tandem(tmp_path_factory.mktemp("guessed"), basic="passwords", r_workers=1)
    tandem.start()
    for name in ("ann", "bob"):
        assert tandem.command("users", "add", name, text=f"{PASSWORD}\n").returncode == 0
    yield tandem
    assert tandem.stop() == 0


def sign_in(server: Tandem, name: str) -> int:
    form = {"grant_type": "password", "username": name, "password": PASSWORD}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=HOME)) as client:
        return client.post(f"{server.url}/auth/token", data=form, timeout=60).status_code


@pytest.mark.parametrize(("way", "name"), list(zip(WAYS, ("ann", "bob"), strict=True)))
def test_a_password_that_is_fortieth_on_the_list_is_not_found_and_its_owner_signs_in_meanwhile(
    server: Tandem, tmp_path: Path, way: str, name: str
) -> None:
    assert sign_in(server, name) == 200
    guesses = tmp_path / "guesses"
    guesses.write_text("".join(f"guess number {number}\n" for number in range(39)) + f"{PASSWORD}\n")
    command = ["hydra", "-I", "-l", name, "-P", str(guesses), "-t", "4", "-s", str(server.port), "127.0.0.1"]
    attacker = subprocess.Popen([*command, *WAYS[way]], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while attacker.poll() is None:
        assert sign_in(server, name) == 200
    told = attacker.communicate()[0].decode()
    assert "0 valid password found" in told or "0 valid passwords found" in told, told
    assert PASSWORD not in told
