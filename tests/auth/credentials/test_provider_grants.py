import asyncio
from typing import Any

import pytest

from auth.accounts import Accounts
from auth.credentials.credential import Shown
from auth.credentials.oidc import Identity
from auth.credentials.provider_token import ProviderTokens
from auth.principal import Allowance, Principal

FOUND = Identity(
    name="entra:ann",
    kind="person",
    client="app",
    roles=("none",),
    groups=("entra:0f0e",),
    narrowed=None,
    expires_at=2000.0,
)


class Providers:
    async def identity(self, token: bytes, now: float) -> Identity:
        return FOUND


def recognised(accounts: Accounts) -> Principal:
    providers: Any = Providers()
    verifier = ProviderTokens(providers, accounts.policy)
    return asyncio.run(verifier.verify(Shown(b"bearer", b"x", ""), 1000.0)).principal


@pytest.mark.parametrize("to", ["entra:ann", "group:entra:0f0e"])
def test_a_providers_person_may_what_they_or_their_groups_were_granted(accounts: Accounts, to: str) -> None:
    assert not recognised(accounts).may("score")
    accounts.policy.add_grant(to, Allowance(frozenset(), ("mpg",)), "scorer", "root", 1.0)
    assert recognised(accounts).may("score", "mpg") and not recognised(accounts).may("score", "boston")


def test_a_grant_for_another_group_or_person_is_none_for_them(accounts: Accounts) -> None:
    for to in ("entra:bob", "group:entra:another", "entra:0f0e", "group:entra:ann", "ann"):
        accounts.policy.add_grant(to, Allowance(frozenset()), "scorer", "root", 1.0)
    assert not recognised(accounts).may("score")
