"""Tandem with a real identity provider."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.auth.conftest import write
from tests.auth.provider.conftest import RESOURCE, IdentityProvider
from tests.harness.tandem import Tandem

pytestmark = pytest.mark.ship


@pytest.fixture(scope="module")
def tandem(provider: IdentityProvider, tandem_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    folder = tmp_path_factory.mktemp("tandem")
    lines = (
        "[idp]",
        f'issuer = "{provider.url}"',
        f'audiences = ["{RESOURCE}"]',
        'map = { analysts = "analyst", scorers = "scorer" }',
    )
    server = Tandem(folder, identity=write(folder / "identity.toml", *lines), port=tandem_port)
    server.port = tandem_port
    server.url = f"http://127.0.0.1:{tandem_port}"
    try:
        yield server.start()
    finally:
        server.stop()


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
