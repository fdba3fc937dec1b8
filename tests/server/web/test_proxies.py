"""Behind a proxy: callers are told apart by the addresses that a trusted proxy names, and by no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.harness.tandem import Tandem

ATTEMPTS = 21
"""One more than an address has free, each for another account."""


def sign_in(tandem: Tandem, forwarded_for: str, attempt: int) -> int:
    form = {"grant_type": "password", "username": f"nobody{attempt}", "password": "not the password"}
    headers = {"x-forwarded-for": forwarded_for}
    return httpx.post(f"{tandem.url}/auth/token", data=form, headers=headers, timeout=30).status_code


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    server = Tandem(tmp_path_factory.mktemp("behind-a-proxy"), trusted_proxies="10.0.0.0/8, 127.0.0.1")
    yield server.start()
    assert server.stop() == 0


def test_who_fails_too_often_behind_a_trusted_proxy_waits_alone(behind_a_proxy: Tandem) -> None:
    answers = [sign_in(behind_a_proxy, "203.0.113.7, 10.1.2.3", attempt) for attempt in range(ATTEMPTS)]
    assert answers[0] == 400
    assert answers[-1] == 429
    assert sign_in(behind_a_proxy, "203.0.113.8, 10.1.2.3", 100) == 400


def test_what_a_client_says_of_itself_before_the_trusted_proxy_is_not_believed(behind_a_proxy: Tandem) -> None:
    answers = [sign_in(behind_a_proxy, f"198.51.100.{n}, 203.0.113.9", 1000 + n) for n in range(ATTEMPTS)]
    assert answers[-1] == 429


def test_without_trusted_proxies_the_header_says_nothing(tandem_factory: Callable[..., Tandem]) -> None:
    tandem = tandem_factory().start()
    answers = [sign_in(tandem, f"203.0.113.{n}", n) for n in range(ATTEMPTS)]
    assert answers[-1] == 429
