"""Access tokens in the shapes of Microsoft Entra ID: both versions, of people, applications and too many groups."""

from __future__ import annotations

from typing import Any

import pytest

from auth.credentials.providers import Providers
from auth.errors import GroupsOverage, Unauthenticated
from tests.auth.conftest import write
from tests.auth.credentials.conftest import Imitation, by_rsa, rsa_entry, rsa_key
from tests.auth.credentials.test_oidc import NOW, ONE, identity, refusal
from tests.auth.forged import Forger

TENANT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
OTHER_TENANT = "00000000-a31e-4b4a-93e4-5f571e91255a"
API = "6e74172b-be56-4843-9ff4-e66a39bb12e3"
OBJECT = "690222be-ff1a-4d56-abd1-7e4f7d38e474"
CLIENT = "1950a258-227b-4e31-a9cf-717495945fc2"
V1 = f"https://sts.windows.net/{TENANT}/"
V2 = f"https://login.microsoftonline.com/{TENANT}/v2.0"

ENTRA = """
[{name}]
issuer = "{issuer}"
discovery = "https://idp.example.org/{name}"
audiences = ["{api}", "api://tandem"]
subject = ["tid", "oid"]
map = {{ "Models.Score" = "scorer", "Tandem.Admin" = "admin", "0f0e" = "analyst" }}
scopes = {{ "Models.Score" = ["score"] }}
"""


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Providers:
    """Both versions of a tenant's tokens, whose keys are written as Entra ID writes them."""
    text = "".join(ENTRA.format(name=name, issuer=issuer, api=API) for name, issuer in (("one", V1), ("two", V2)))

    class Entra(Imitation):
        async def get(self, url: str) -> dict[str, Any]:
            issuer = V1 if url.endswith("/one") else V2
            return await super().get(url) | ({} if url.endswith("/keys") else {"issuer": issuer})

    keys = [rsa_entry("one", rsa_key("one"), x5t="one"), rsa_entry("two", rsa_key("two"), issuer=V2)]
    keys.append(rsa_entry("templated", rsa_key("templated"), issuer=V2.replace(TENANT, "{tenantid}")))
    keys.append(rsa_entry("foreign", rsa_key("foreign"), issuer=V2.replace(TENANT, OTHER_TENANT)))
    return Providers(write(tmp_path_factory.mktemp("identity") / "entra", text), Entra(*keys))  # type: ignore[arg-type]


def entra_claims(version: int, **more: Any) -> dict[str, Any]:
    both = {
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 4000,
        "oid": OBJECT,
        "tid": TENANT,
        "sub": "pairwise",
        "uti": "x",
        "rh": "y",
    }
    one = {"iss": V1, "aud": "api://tandem", "ver": "1.0", "appid": CLIENT, "appidacr": "0", "upn": "ann@example.org"}
    two = {"iss": V2, "aud": API, "ver": "2.0", "azp": CLIENT, "azpacr": "1", "preferred_username": "ann@example.org"}
    return both | (one if version == 1 else two) | more


def entra_token(version: int, kid: str = "", **more: Any) -> Forger:
    kid = kid or ("one" if version == 1 else "two")
    header = {"typ": "JWT", "alg": "RS256", "kid": kid} | ({"x5t": kid} if version == 1 else {})
    key = by_rsa(rsa_key(kid))
    return Forger(header, entra_claims(version, **more), key, key, NOW, 0)


@pytest.mark.parametrize("version", [1, 2])
def test_a_persons_token_is_narrowed_to_what_the_client_may_do_for_them(entra: Providers, version: int) -> None:
    token = entra_token(version, scp="Models.Score User.Read", roles=["Tandem.Admin"]).good
    found = identity(entra, token)
    assert found.name == f"{'one' if version == 1 else 'two'}:{TENANT}:{OBJECT}"
    assert (found.kind, found.client, found.roles) == ("person", CLIENT, ("admin",))
    assert found.narrowed == frozenset({"score"})


@pytest.mark.parametrize("version", [1, 2])
def test_an_applications_token_has_roles_and_no_scopes(entra: Providers, version: int) -> None:
    found = identity(entra, entra_token(version, roles=["Models.Score"], sub=OBJECT).good)
    assert (found.kind, found.roles, found.narrowed) == ("application", ("scorer",), None)


def test_a_scope_that_is_not_ours_allows_nothing(entra: Providers) -> None:
    assert identity(entra, entra_token(2, scp="User.Read", roles=["Tandem.Admin"]).good).narrowed == frozenset()


def test_groups_make_a_role(entra: Providers) -> None:
    assert identity(entra, entra_token(2, scp="Models.Score", groups=["beef", "0f0e"]).good).roles == ("analyst",)


OVERAGE = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph/x"}}}


@pytest.mark.parametrize("left_out", [OVERAGE, {"hasgroups": True}, {"hasgroups": "true"}])
def test_groups_that_were_left_out_are_refused_with_the_cure(entra: Providers, left_out: dict[str, Any]) -> None:
    assert isinstance(refusal(entra, entra_token(2, scp="Models.Score", **left_out).good), GroupsOverage)
    found = identity(entra, entra_token(2, scp="Models.Score", roles=["Models.Score"], **left_out).good)
    assert found.roles == ("scorer",)  # an app role does not need the groups


def test_a_key_is_for_its_own_issuer_alone(entra: Providers) -> None:
    assert identity(entra, entra_token(2, "templated", roles=["Models.Score"]).good).roles == ("scorer",)
    for token in (entra_token(2, "foreign", roles=["Models.Score"]), entra_token(1, "two", roles=["Models.Score"])):
        assert "another issuer" in str(refusal(entra, token.good))


@pytest.mark.parametrize(
    "spoilt",
    [
        {"tid": OTHER_TENANT},
        {"iss": V2.replace(TENANT, OTHER_TENANT)},
        {"iss": V2.replace(TENANT, "common")},
        {"iss": V2.removesuffix("/v2.0")},
        {"aud": CLIENT},
        {"aud": "00000003-0000-0000-c000-000000000000"},
        {"oid": ""},
        {"oid": f"{OBJECT}:x"},
        {"azp": None},
    ],
    ids=str,
)
def test_another_tenants_or_applications_token_is_refused(entra: Providers, spoilt: dict[str, Any]) -> None:
    assert isinstance(refusal(entra, entra_token(2, **({"roles": ["Models.Score"]} | spoilt)).good), Unauthenticated)


def test_an_id_token_of_the_same_registration_is_refused(entra: Providers) -> None:
    claims = entra_claims(2, aud=API, nonce="x", roles=["Tandem.Admin"], name="Ann")
    del claims["azp"], claims["azpacr"]
    token = Forger({"typ": "JWT", "alg": "RS256", "kid": "two"}, claims, by_rsa(rsa_key("two")), ONE.sign, NOW, 0)
    assert isinstance(refusal(entra, token.good), Unauthenticated)
