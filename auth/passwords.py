"""Turning passwords into hashes, and checking them.

Owns the cost of argon2id and the rule for what a password may be. The only file that imports argon2. Must not know
accounts. A check takes about 30 ms and 19 MiB, so it never runs on the event loop: see `offload.py`.
"""

import re
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from auth.errors import AccountError

# The minimum of OWASP's Password Storage Cheat Sheet (m=19 MiB, t=2, p=1). argon2-cffi's default takes 64 MiB and four
# times as long, which on a small server makes a flood of logins an attack on memory.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16)

# Of the same cost as a real hash and matching nothing: salt and digest are zeros.
_DUMMY: Final = f"$argon2id$v=19$m={19 * 1024},t=2,p=1${'A' * 22}${'A' * 43}"

_SHORTEST, _LONGEST = 8, 1024

# A list, and no library that estimates how strong a password is: it is read when one is set, and takes no memory then.
COMMON: Final = Path(__file__).with_name("common_passwords.txt")

# The only spelling that libargon2 reads. What a hash may cost has a limit, as every sign-in pays it.
_HASH: Final = re.compile(r"\$argon2id\$v=19\$m=([1-9]\d{0,5}),t=([1-9]\d?),p=([1-9]\d?)\$([^$]+)\$([^$]+)", re.ASCII)
_MOST_MEMORY_KIB, _MOST_PASSES, _MOST_LANES = 256 * 1024, 16, 16
_LEAST_SALT_BYTES, _LEAST_DIGEST_BYTES = 8, 16


def hash_password(password: str) -> str:
    """Hash a new password; refuse one that is too short, too long or not text."""
    encoded = _encode(password)
    if encoded is None:
        raise AccountError("bad_password")
    return _HASHER.hash(encoded)


def check_new_password(name: str, password: str) -> None:
    """Refuse a password that is one of the first to be tried: a common one, or the account's name."""
    tried = password.casefold()
    if tried == name.casefold() or tried in COMMON.read_text().splitlines():
        raise AccountError("common_password")


def verify_password(stored: str | None, password: str) -> bool:
    """Whether `password` fits the hash `stored`.

    None stands for an unknown account: it takes as long and is never true.
    """
    encoded = _encode(password)
    try:
        matches = _HASHER.verify(stored or _DUMMY, encoded or b"")
    except (VerificationError, InvalidHashError):
        return False
    return matches and stored is not None and encoded is not None


def is_hash(stored: str) -> bool:
    """Whether `stored` is a hash of argon2id that can be checked, at a cost that can be borne."""
    found = _HASH.fullmatch(stored)
    if found is None:
        return False
    memory_kib, passes, lanes = (int(number) for number in found.groups()[:3])
    affordable = 8 * lanes <= memory_kib <= _MOST_MEMORY_KIB and passes <= _MOST_PASSES and lanes <= _MOST_LANES
    salt_bytes, digest_bytes = _decoded_bytes(found[4]), _decoded_bytes(found[5])
    return affordable and salt_bytes >= _LEAST_SALT_BYTES and digest_bytes >= _LEAST_DIGEST_BYTES


def needs_rehash(stored: str) -> bool:
    """Whether `stored` was made at another cost than today's."""
    return _HASHER.check_needs_rehash(stored)


def _decoded_bytes(base64: str) -> int:
    """How many bytes `base64` spells in the one way that libargon2 takes; 0 if it is spelt otherwise."""
    try:
        raw = b64decode(base64 + "=" * (-len(base64) % 4), validate=True)
    except ValueError:
        return 0
    return len(raw) if b64encode(raw).decode().rstrip("=") == base64 else 0


def _encode(password: str) -> bytes | None:
    if not _SHORTEST <= len(password) <= _LONGEST:
        return None
    try:
        return password.encode()
    except UnicodeEncodeError:  # JSON can spell a lone surrogate, UTF-8 cannot
        return None
