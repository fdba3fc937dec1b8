"""Which sessions were ended, so that a process forgets those and nobody else.

Owns the numbers under which ends are written down, and what a process has heard of. Must not know what a session is.
The last ten thousand are kept. A process that has missed one of them has to forget everything.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Final

from auth.database import Transaction

KEPT: Final = 10_000
LAST: Final = "SELECT coalesce(max(seq), 0) FROM ended_sessions"
SINCE: Final = "SELECT seq, session FROM ended_sessions WHERE seq > ? ORDER BY seq"


def note_end(db: Transaction, session: str) -> None:
    """Let every process notice that this session is over."""
    number = db.execute(LAST).fetchone()[0] + 1
    db.execute("INSERT INTO ended_sessions (seq, session) VALUES (?, ?)", (number, session))
    db.execute("DELETE FROM ended_sessions WHERE seq <= ?", (number - KEPT,))


class Endings:
    """The ends that one process has heard of and not acted on yet. Its threads share it.

    `last` is the number of the last end that it need not hear of; None where nobody has looked yet.
    """

    def __init__(self, last: int | None = None) -> None:
        self._lock = Lock()
        self._last = last
        self._heard: list[str] = []
        self._missed = False

    @property
    def last(self) -> int:
        """The number of the last end that it has heard of."""
        return 0 if self._last is None else self._last

    def hear(self, rows: Sequence[tuple[int, str]]) -> None:
        """Take in what was written after `last`, in its order, as it was when that was asked for."""
        with self._lock:
            new = [row for row in rows if row[0] > self.last]
            self._missed |= self._last is None or (bool(new) and new[0][0] != self._last + 1)
            self._last = new[-1][0] if new else self.last
            self._heard += [session for _, session in new[-KEPT:]]

    def take(self) -> list[str] | None:
        """The sessions that ended since this was asked last; None if some of them are not known."""
        with self._lock:
            heard, self._heard = self._heard, []
            missed, self._missed = self._missed, False
            return None if missed else heard
