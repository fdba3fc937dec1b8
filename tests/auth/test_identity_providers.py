"""A real server whose identity provider is an imitation on loopback, which rolls its keys, floods, and goes away."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.auth.conftest import write
from tests.auth.credentials.conftest import rsa_entry, rsa_key
from tests.harness.identity_provider import IDENTITY, Provider
from tests.harness.tandem import ROOT, Tandem, eventually


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def tandem(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    folder = tmp_path_factory.mktemp("tandem")
    server = Tandem(
        folder, identity=write(folder / "identity.toml", IDENTITY.format(issuer=provider.url)), docs="login"
    )
    try:
        yield server.start()
    finally:
        server.stop()


def ask(tandem: Tandem, token: str, path: str = "/auth/me") -> httpx.Response:
    return httpx.get(f"{tandem.url}{path}", headers={"authorization": f"Bearer {token}"})


def test_a_key_that_the_provider_rolls_under_load_refuses_nobody(tandem: Tandem, provider: Provider) -> None:
    """The first of these tests: for a minute after a key that there is not, none is asked for."""
    tokens = [provider.token(sub=f"old-{n}") for n in range(40)]
    new = [provider.token(kid="two", sub=f"new-{n}") for n in range(40)]
    provider.keys.append(rsa_entry("two", rsa_key("two")))
    before = provider.asked["/keys"]
    with ThreadPoolExecutor(8) as threads:
        mixed = [token for pair in zip(tokens, new, strict=True) for token in pair]
        statuses = Counter(threads.map(lambda token: ask(tandem, token).status_code, mixed))
    assert statuses == {200: 80}
    assert provider.asked["/keys"] == before + 1


def test_a_role_of_the_provider_is_a_role_here(tandem: Tandem, provider: Provider) -> None:
    answer = ask(tandem, provider.token())
    assert (answer.status_code, answer.json()["name"], answer.json()["role"]) == (200, "idp:ann", "scorer")
    assert ask(tandem, provider.token(), "/v1/models").status_code == 200
    assert ask(tandem, provider.token(), "/auth/accounts").status_code == 403
    assert ask(tandem, provider.token(roles=["bosses"]), "/auth/accounts").status_code == 200


def test_a_delegated_token_allows_no_more_than_its_scopes(tandem: Tandem, provider: Provider) -> None:
    token = provider.token(roles=["bosses"], scope="Models.Score")
    assert ask(tandem, token, "/v1/models").status_code == 200
    assert ask(tandem, token, "/auth/accounts").status_code == 403


def test_the_scoring_route_knows_them_too(tandem: Tandem, provider: Provider) -> None:
    url = f"{tandem.url}/v1/models/nothing/score"
    for token, status, code in (
        (provider.token(), 404, "unknown_model"),
        (provider.token(roles=["strangers"]), 403, "forbidden"),
        (provider.token(roles=[], _claim_names={"groups": "src1"}), 403, "groups_overage"),
        (provider.token(aud="other"), 401, "unauthenticated"),
    ):
        answer = httpx.post(url, headers={"authorization": f"Bearer {token}"}, json={})
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_the_age_of_the_providers_keys_is_measured(tandem: Tandem) -> None:
    eventually(lambda: 0 < tandem.metric("tandem_jwks_age_seconds", provider="idp") < 3600)


def test_who_has_no_role_is_told_which_claims_came(tandem: Tandem, provider: Provider) -> None:
    answer = ask(tandem, provider.token(roles=["strangers"]))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "it sent aud, azp" in answer.json()["detail"]
    assert "strangers" not in answer.text


def test_every_401_is_alike_whatever_was_wrong_with_the_token(tandem: Tandem, provider: Provider) -> None:
    wrong = ("x.y.z", provider.token(kid="nobody"), provider.token(key="stranger"), provider.token(exp=1))
    answers = [ask(tandem, token) for token in wrong]
    assert {answer.status_code for answer in answers} == {401}
    assert len({json.dumps(answer.json() | {"request_id": ""}) for answer in answers}) == 1


def test_the_command_line_says_who_a_token_is_of_or_which_rule_refuses_it(tandem: Tandem, provider: Provider) -> None:
    def check(token: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "server.cli", "identity", "check", "-"]
        environment = tandem.environment | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, input=token, capture_output=True, text=True, cwd=tandem.folder, env=environment)

    good = check(provider.token())
    assert (good.returncode, good.stdout) == (0, "idp:ann\tperson by app\troles: scorer\tmay: accounts, list, score\n")
    refused = check(provider.token(aud="other"))
    assert refused.returncode == 1
    assert "its aud is none of the audiences" in refused.stderr


def test_a_changed_file_is_taken_while_the_server_runs(tandem: Tandem, provider: Provider) -> None:
    token = provider.token(roles=["newcomers"])
    assert ask(tandem, token).status_code == 403
    changed = IDENTITY.format(issuer=provider.url).replace("bosses", "newcomers")
    write(tandem.folder / "identity.toml", changed)
    eventually(lambda: ask(tandem, token).status_code == 200)
    assert ask(tandem, provider.token(roles=["bosses"])).status_code == 403


def test_an_unknown_kid_is_asked_for_once_a_minute_however_many_come(tandem: Tandem, provider: Provider) -> None:
    before = provider.asked["/keys"]
    for n in range(20):
        assert ask(tandem, provider.token(kid=f"kid-{n}", key="one")).status_code == 401
    assert provider.asked["/keys"] <= before + 1
    assert ask(tandem, provider.token()).status_code == 200


def test_a_file_that_will_not_do_stops_the_start(tmp_path: Path, provider: Provider) -> None:
    server = Tandem(tmp_path, identity=write(tmp_path / "identity.toml", IDENTITY.format(issuer="http://example.org")))
    server.start(wait=False)
    assert server.process is not None
    assert server.process.wait(60) != 0
    assert "idp.issuer: it is not an https address" in server.log_path.read_text()
