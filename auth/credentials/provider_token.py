"""Access tokens of identity providers, as credentials.

Owns what a provider's word allows here. Must not know what a token looks like: `oidc.py` does.
"""

from math import inf
from typing import Final, get_args

from auth import jws
from auth.credentials import oidc
from auth.credentials.credential import Recognised, Shown
from auth.credentials.providers import Providers
from auth.errors import Unauthenticated
from auth.offload import Look, at_once
from auth.policy import PolicyStore
from auth.principal import BUILT_IN, Allowance, Principal

_ALGORITHMS: Final = get_args(jws.PublicAlgorithm)


class ProviderTokens:
    """Recognises the bearer of an access token that a provider has signed."""

    def __init__(self, providers: Providers, policy: PolicyStore, look: Look = at_once) -> None:
        self._providers = providers
        self._policy = policy
        self._look = look

    def takes(self, shown: Shown) -> bool:
        """Whether a bearer's token has a header that names an algorithm which is not ours."""
        return shown.scheme == b"bearer" and _algorithm(shown.secret) in _ALGORITHMS

    async def verify(self, shown: Shown, now: float) -> Recognised:
        """The principal of a token; raise `Unauthenticated`, `NoRole`, `GroupsOverage` or `ProviderUnavailable`."""
        found = await self._providers.identity(shown.secret, now)
        granted = await self._look(self._policy.allowances, found.name, "none", found.groups)
        principal = Principal(
            name=found.name,
            kind=found.kind,
            role=" ".join(found.roles),
            via="provider",
            credential=found.client,
            expires_at=found.expires_at,
            allowances=(*(Allowance(BUILT_IN[role]) for role in found.roles), *granted),
            narrowed=None if found.narrowed is None else Allowance(found.narrowed),
            groups=tuple(found.groups),
        )
        return Recognised(principal, inf)


def _algorithm(token: bytes) -> object:
    try:
        return jws.read(token, oidc.LONGEST_TOKEN).header.get("alg")
    except (Unauthenticated, ValueError):
        return None
