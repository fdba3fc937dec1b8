"""Turning passwords into hashes, and checking them.

Owns the cost of argon2id and the rule for what a password may be. The only file that imports argon2. Must not know
accounts. A check takes about 30 ms and 19 MiB, so it never runs on the event loop: see `offload.py`.
"""

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


def hash_password(password: str) -> str:
    """Hash a new password; refuse one that is too short, too long or not text."""
    encoded = _encode(password)
    if encoded is None:
        raise AccountError("bad_password")
    return _HASHER.hash(encoded)


def verify_password(stored: str | None, password: str) -> bool:
    """Whether `password` fits `stored`; None, for an unknown account, takes as long and is never true."""
    encoded = _encode(password)
    try:
        matches = _HASHER.verify(stored or _DUMMY, encoded or b"")
    except (VerificationError, InvalidHashError):
        return False
    return matches and stored is not None and encoded is not None


def needs_rehash(stored: str) -> bool:
    """Whether `stored` was made at another cost than today's."""
    return _HASHER.check_needs_rehash(stored)


def _encode(password: str) -> bytes | None:
    if not _SHORTEST <= len(password) <= _LONGEST:
        return None
    try:
        return password.encode()
    except UnicodeEncodeError:  # JSON can spell a lone surrogate, UTF-8 cannot
        return None
