"""How an API key is spelt.

Owns its shape, `tdm_` id (8) `_` secret (32) checksum (6), and which texts are none. Must not know whose it is.

All of it is base62, so a double click marks the whole key. The beginning is for those who look for secrets that were
left lying about, and the checksum tells them, and us without a look into the database, what was never a key. The secret
has 190 random bits: nothing slower than SHA-256 is needed to keep it, and no limit on guesses.
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "tdm_"
_SHAPE: Final = re.compile(rb"tdm_([0-9A-Za-z]{8})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID, _SECRET, _CHECKSUM = 8, 32, 6


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as its holder has it. The id may be shown, the text to nobody else."""

    id: str
    text: str

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the key, which alone is kept."""
        return hashlib.sha256(self.text.encode()).digest()


def new_key() -> KeyText:
    """A key that nobody has yet."""
    key_id = _random(_ID)
    body = f"{PREFIX}{key_id}_{_random(_SECRET)}"
    return KeyText(key_id, body + _checksum(body.encode()))


def derived_key(seed: bytes) -> KeyText:
    """The key that belongs to a seed of 32 bytes that nobody else can make."""
    digits, rest = "", int.from_bytes(seed)
    for _ in range(_ID + _SECRET):
        rest, digit = divmod(rest, len(_DIGITS))
        digits += _DIGITS[digit]
    body = f"{PREFIX}{digits[:_ID]}_{digits[_ID:]}"
    return KeyText(digits[:_ID], body + _checksum(body.encode()))


def read_key(raw: bytes) -> KeyText | None:
    """The key that some bytes spell; None if they are none, by shape or checksum."""
    found = _SHAPE.fullmatch(raw)
    if found is None or _checksum(raw[:-_CHECKSUM]).encode() != found[3]:
        return None
    return KeyText(found[1].decode(), raw.decode())


def looks_like_key(raw: bytes) -> bool:
    """Whether some bytes are meant as a key, even if the key is not a good one."""
    return raw.startswith(PREFIX.encode())


def has_key(raw: bytes) -> bool:
    """Whether something of a key's shape is anywhere in some bytes."""
    return b"tdm_" in raw and _SHAPE.search(raw) is not None


def key_in(raw: bytes) -> str:
    """The id of the first real key in some bytes; empty where there is none."""
    found = (read_key(match[0]) for match in _SHAPE.finditer(raw))
    return next((key.id for key in found if key is not None), "")


def _random(length: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(length))


def _checksum(body: bytes) -> str:
    rest, digits = zlib.crc32(body), ""
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
