"""What every kind of credential has in common: where it may stand in a request, and what verifying it gives.

Owns the headers that may hold a credential, and the rule that a request has one. Must not know any kind of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from auth.errors import TwoCredentials, Unauthenticated
from auth.principal import Principal

AUTHORIZATION: Final = b"authorization"
KEY_HEADERS: Final = (b"api-key", b"x-api-key", b"ocp-apim-subscription-key")
"""Headers that hold a key without a scheme: Azure OpenAI's, the common one, and that of Azure's API gateway."""
HEADERS: Final = (AUTHORIZATION, *KEY_HEADERS)
SECRET_HEADERS: Final = frozenset((*HEADERS, b"cookie", b"proxy-authorization"))
"""Headers that no model may see: with what they hold it could act in its caller's name."""

_LONGEST: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Shown:
    """A credential as it was sent: the `secret` by itself, the scheme before it, and the address of the sender."""

    scheme: bytes
    secret: bytes
    address: str


@dataclass(frozen=True, slots=True)
class Recognised:
    """A principal, and for how many seconds its credential may be taken as good without another look.

    Where there is `again`, no other look is needed: it is told the time and the address when the credential comes after
    that time, and the principal stays known until something is changed.
    """

    principal: Principal
    remember_s: float
    again: Callable[[float, str], None] | None = None


class Verifier(Protocol):
    """Recognises the credentials of one kind."""

    def takes(self, shown: Shown) -> bool:
        """Whether a credential is of this kind, by scheme and shape. A credential that no verifier takes is refused."""

    async def verify(self, shown: Shown, now: float) -> Recognised:
        """The principal that `shown` proves; raise `Unauthenticated`, or `Throttled` for a caller that has to wait."""


def only(headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes] | None:
    """The one header that holds a credential, as name and value; raise `TwoCredentials` where two differ."""
    found = [(name, headers[name]) for name in HEADERS if name in headers]
    if len({_bare(*one) for one in found}) > 1:
        raise TwoCredentials
    return found[0] if found else None


def shown(name: bytes, value: bytes, address: str) -> Shown:
    """A header taken apart into scheme and secret; raise `Unauthenticated` for one that is no credential."""
    if len(value) > _LONGEST:
        raise Unauthenticated("too_large")
    if name != AUTHORIZATION:
        return Shown(b"key", value, address)
    if not value:
        raise Unauthenticated("missing")
    scheme, _, secret = value.partition(b" ")
    if not secret:
        raise Unauthenticated("malformed")
    scheme = scheme.lower()
    if (
        scheme == b"key" and secret.count(b".") == 2
    ):  # a signed token, under the scheme that Posit's users put keys under
        scheme = b"bearer"
    return Shown(scheme, secret, address)


def _bare(name: bytes, value: bytes) -> bytes:
    return value.partition(b" ")[2] if name == AUTHORIZATION else value
