"""The keys of endpoints: two for each, derived from a secret, so that they can be shown again at any time.

Owns how they are derived, and what they allow: to ask their endpoint. Nothing of them is kept but a number for each
slot, the generation: a higher one gives another key, and the one before is worth nothing. Servers that have the same
secret agree, wherever their endpoints are defined. Must not know who defines them.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from auth.api_keys import SLOTS, Slot
from auth.key_text import KeyText, derived_key
from auth.principal import Allowance, Principal, built_in
from auth.secret_file import SecretFile

OWNER: Final = "endpoint:"
"""How the name begins of whoever shows an endpoint's key. No account is called so."""
_NEVER: Final = 253_402_300_799.0  # the last second of the year 9999
_SHORTEST: Final = 32


@dataclass(frozen=True, slots=True)
class Keyed:
    """An endpoint that has keys. `shown` says whether they are taken as they are, or only tokens for them."""

    endpoint: str
    generations: Mapping[str, int]
    shown: bool = True


class EndpointKeys:
    """The keys of all endpoints, as they are at present."""

    def __init__(self, file: Path | None = None) -> None:
        """`file` has the secret. Without one, endpoints have no keys."""
        self._secret = SecretFile(file, _parse).value if file is not None else b""
        self._keyed: tuple[Keyed, ...] = ()
        self._by_id: dict[str, tuple[KeyText, Principal, bool]] = {}
        self.changes = 0
        """Differs from before if a key may have been taken away."""

    def tell(self, keyed: Iterable[Keyed]) -> bool:
        """These are all endpoints; whether that differs from before."""
        now = tuple(keyed)
        if now == self._keyed:
            return False
        self._keyed = now
        self._by_id = {
            text.id: (text, _principal(one.endpoint, text.id), one.shown)
            for one in now
            for text in (self.texts(one.endpoint, one.generations) or {}).values()
        }
        self.changes += 1
        return True

    def texts(self, endpoint: str, generations: Mapping[str, int]) -> dict[Slot, KeyText] | None:
        """The keys of an endpoint, by slot; None without a secret."""
        if not self._secret:
            return None
        return {slot: self._derived(endpoint, slot, generations.get(slot, 1)) for slot in SLOTS}

    def holder(self, key: KeyText) -> Principal | None:
        """Who shows this key; None if it is no endpoint's, or if its endpoint takes tokens alone."""
        text, principal, shown = self._by_id.get(key.id, (None, None, False))
        return principal if shown and text is not None and hmac.compare_digest(text.digest, key.digest) else None

    def of_id(self, key_id: str) -> Principal | None:
        """Whose key of this id is in force."""
        found = self._by_id.get(key_id)
        return found[1] if found is not None else None

    def _derived(self, endpoint: str, slot: Slot, generation: int) -> KeyText:
        said = f"tandem endpoint key\0{endpoint}\0{slot}\0{generation}".encode()
        return derived_key(hmac.digest(self._secret, said, sha256))


def _principal(endpoint: str, key_id: str) -> Principal:
    return Principal(
        name=OWNER + endpoint,
        kind="service",
        role="scorer",
        via="key",
        credential=key_id,
        expires_at=_NEVER,
        allowances=built_in("scorer"),
        narrowed=Allowance(frozenset({"list", "score"}), (endpoint,)),
    )


def _parse(raw: bytes) -> bytes:
    secret = raw.strip()
    if len(secret) < _SHORTEST:
        raise ValueError(f"a secret has {_SHORTEST} characters or more")
    return secret
