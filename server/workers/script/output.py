"""What a script prints and logs: lines of the server's log, with the model's name and the id of the request.

The script may set up logging as it likes, even anew (`basicConfig(force=True)`): what it then writes to a standard
stream comes here too, and Tandem's own loggers keep their way out. What C code or a child process writes to the file
descriptors is not seen here and goes to the log as it is.
"""

from __future__ import annotations

import copy
import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from server.logs import JsonFormatter
from server.workers.captured_output import LineLimit

MAX_LINE_CHARS = 4000


class Output:
    """This process's standard streams and logging, taken over for one script."""

    def __init__(self, model: str) -> None:
        self._handler = logging.StreamHandler(sys.__stderr__)
        self._formatter = _Formatter(model)
        self._handler.setFormatter(self._formatter)
        self._lines = {"stdout": logging.INFO, "stderr": logging.WARNING}
        self._streams: list[tuple[io.TextIOWrapper, _Lines]] = []
        self._limits: list[LineLimit] = []

    def take_over(self) -> None:
        """Catch everything that is printed from now on."""
        for name, level in self._lines.items():
            limit = LineLimit(self._writer(f"script.{name}", level))
            self._limits.append(limit)
            lines = _Lines(limit.write)
            stream = _stream(lines)
            self._streams.append((stream, lines))
            setattr(sys, name, stream)
        logging.getLogger().handlers[:] = [self._handler]
        ours = logging.getLogger("server")
        ours.handlers[:] = [self._handler]
        ours.propagate = False

    @contextmanager
    def of(self, request_id: str) -> Iterator[None]:
        """Count what is written meanwhile as this request's."""
        self._formatter.request_id = request_id
        try:
            yield
        finally:
            for stream, lines in self._streams:
                if not stream.closed:
                    stream.flush()
                    lines.end_line()
            self._formatter.request_id = ""

    def on_idle(self) -> None:
        """Say how many lines were left out, now that the script is not being called."""
        for limit in self._limits:
            limit.end()

    def _writer(self, logger: str, level: int) -> Callable[[str], None]:
        def write(line: str) -> None:
            self._handler.handle(logging.LogRecord(logger, level, "", 0, line, None, None))

        return write


class _Formatter(JsonFormatter):
    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model
        self.request_id = ""

    def format(self, record: logging.LogRecord) -> str:
        tagged = copy.copy(record)
        tagged.msg, tagged.args = _capped(record.getMessage()), None
        tagged.__dict__["model"] = self._model
        if self.request_id:
            tagged.__dict__["request_id"] = self.request_id
        return super().format(tagged)

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return _capped(super().formatException(ei))


def _stream(lines: _Lines) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(lines)
    return io.TextIOWrapper(
        buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=True
    )


class _Lines(io.RawIOBase):
    """Cuts what is written into lines. Of a line that is too long only the beginning is kept, in memory too."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._line = b""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Where faulthandler and child processes may write."""
        return 2

    def write(self, data: Any) -> int:
        size = len(data)
        first, *others = bytes(data).split(b"\n")
        self._line += first[: 4 * MAX_LINE_CHARS + 1 - len(self._line)]
        for other in others:
            self.end_line()
            self._line = other[: 4 * MAX_LINE_CHARS + 1]
        return size

    def end_line(self) -> None:
        line, self._line = self._line.decode(errors="replace").rstrip(), b""
        if line:
            self._write(line)


def _capped(text: str) -> str:
    return text if len(text) <= MAX_LINE_CHARS else text[:MAX_LINE_CHARS] + "…"
