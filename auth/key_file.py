"""The file of the keys that sign access tokens.

Owns its format: one key a line, of which the first signs and all verify, so that a key can be replaced while both are
good for a while. Must not know tokens beyond handing them their keys.
"""

from pathlib import Path

from auth.jws import secret_key
from auth.secret_file import SecretFile
from auth.tokens import LIFETIME_S, Tokens


class KeyFileTokens(Tokens):
    """Access tokens that are signed with the keys of a file, as the file is now."""

    def __init__(self, path: Path, advice: str = "", lifetime_s: int = LIFETIME_S) -> None:
        self._file = SecretFile(path, parse, advice)
        super().__init__(*self._file.value, lifetime_s=lifetime_s)

    def change_counter(self) -> int:
        """Look at the file. The number differs from the one before if it has other keys."""
        if self._file.look():
            self.use(*self._file.value)
        return self._file.changes


def parse(raw: bytes) -> tuple[bytes, ...]:
    """The keys of a file, the first of which signs; raise ValueError with the number of a line that is none."""
    keys = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        key = line.strip()
        if not key or key.startswith(b"#"):
            continue
        try:
            secret_key(key)
        except ValueError as problem:
            raise ValueError(f"line {number}: {problem}") from problem
        keys.append(key)
    if not keys:
        raise ValueError("there is no key in it")
    return tuple(keys)
