"""What a model prints, as lines of the log: long lines are cut, and only so many a second are written."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from time import monotonic

log = logging.getLogger(__name__)

MAX_LINE_CHARS = 2000
LINES_PER_S = 20


class LineLimit:
    """Passes on a limited number of lines a second, and says how many more there were."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = monotonic) -> None:
        self._write = write
        self._clock = clock
        self._second = -1
        self._written = 0
        self._left_out = 0

    def write(self, line: str) -> None:
        """Pass a line on, or leave it out."""
        second = int(self._clock())
        if second != self._second:
            self.end()
            self._second, self._written = second, 0
        if self._written < LINES_PER_S:
            self._written += 1
            self._write(line)
        else:
            self._left_out += 1

    def end(self) -> None:
        """Say how many lines were left out since this was last said."""
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            self._write(f"(lines left out: {left_out})")


class Printed:
    """Joins pieces of text into lines; of a line that is too long only the beginning is kept, in memory too."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._lines = LineLimit(write)
        self._pieces: list[str] = []
        self._room = MAX_LINE_CHARS

    def take(self, text: str) -> None:
        """Take a text. If it ends with a newline, so does the line; newlines inside of it stay."""
        if self._room > 0:
            piece = text[: self._room]
            self._pieces.append(piece)
            self._room -= len(piece)
        if text.endswith("\n"):
            self.end_line()

    def end_line(self) -> None:
        """End the line that has begun."""
        line = "".join(self._pieces).strip()
        self._pieces.clear()
        self._room = MAX_LINE_CHARS
        if line:
            self._lines.write(line)

    def on_idle(self) -> None:
        """Say what was left out, now that the model is not being called."""
        self.end_line()
        self._lines.end()


class _Stream(io.TextIOBase):
    """A standard stream that goes to the log."""

    def __init__(self, printed: Printed) -> None:
        self._printed = printed

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Where faulthandler and child processes may write."""
        return 2

    def write(self, text: str, /) -> int:
        self._printed.take(text)
        return len(text)


def take_over() -> Printed:
    """Redirect to here what Python code writes to the standard streams."""
    printed = Printed(lambda line: log.info("a model printed", extra={"text": line}))
    sys.stdout = sys.stderr = _Stream(printed)
    return printed
