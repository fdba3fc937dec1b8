"""The file of identity providers: what it may say, and that a fault is told by its place and never by its value."""

from __future__ import annotations

import pytest

from auth.credentials.identity import parse

GOOD = """
[entra]
issuer = "https://login.example.org/t/v2.0"
audiences = ["api"]
map = { "Models.Score" = "scorer" }
"""
SIGNING_IN = """
client_id = "app"
redirects = ["https://tandem.example.org/auth/oidc/entra/callback"]
"""


def test_a_provider_needs_an_issuer_an_audience_and_a_map() -> None:
    provider = parse(GOOD.encode())["https://login.example.org/t/v2.0"]
    assert (provider.name, provider.algorithm, provider.subject) == ("entra", "RS256", ("sub",))
    assert provider.discovery_url == "https://login.example.org/t/v2.0/.well-known/openid-configuration"
    assert provider.client_id is None


def test_it_may_sign_people_in() -> None:
    assert parse((GOOD + SIGNING_IN).encode())["https://login.example.org/t/v2.0"].client_id == "app"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1 to 16 tables"),
        ("x = 1", "1 to 16 tables"),
        ("[entra", "not TOML"),
        ("\udcff", "not TOML"),
        (GOOD.replace("[entra]", "[Entra]"), "Entra.name"),
        (GOOD.replace("[entra]", "[entra]\nname = 'x'"), "entra.name"),
        (GOOD.replace("https://login", "http://login"), "entra.issuer: it is not an https address"),
        (GOOD.replace('["api"]', "[]"), "entra.audiences"),
        (GOOD.replace('["api"]', '"api"'), "entra.audiences"),
        (GOOD.replace('"scorer"', '"root"'), "entra.map.Models.Score"),
        (GOOD + 'algorithm = "HS256"', "entra.algorithm"),
        (GOOD + 'algorithm = "none"', "entra.algorithm"),
        (GOOD + "roles = [[]]", "entra.roles.0"),
        (GOOD + "typo = 1", "entra.typo"),
        (GOOD + 'client_id = "app"', "client_id and redirects"),
        (GOOD + 'client_secret_file = "/x"', "client_secret_file"),
        (GOOD + SIGNING_IN.replace("entra/callback", "other/callback"), "ends with /auth/oidc/entra/callback"),
        (GOOD + SIGNING_IN.replace("https:", "http:"), "entra.redirects.0"),
        (GOOD + SIGNING_IN.replace("callback", "callback?next=x"), "ends with /auth/oidc/entra/callback"),
        (GOOD + GOOD.replace("[entra]", "[second]"), "same issuer"),
        ("\n".join(GOOD.replace("[entra]", f"[p{n}]") for n in range(17)), "1 to 16 tables"),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ValueError) as fault:
        parse(text.encode(errors="surrogateescape"))
    assert told in str(fault.value)


def test_a_fault_does_not_tell_the_value() -> None:
    with pytest.raises(ValueError) as fault:
        parse((GOOD + 'client_id = 7\nclient_secret = "hunter2"').encode())
    assert "hunter2" not in str(fault.value)
