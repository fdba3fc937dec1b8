"""What a model prints reaches the log in bounds: of a line, and of lines in a second."""

from __future__ import annotations

import sys

import pytest

from server.workers import captured_output
from server.workers.captured_output import LINES_PER_S, MAX_LINE_CHARS, LineLimit, Printed


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pieces_become_lines() -> None:
    lines: list[str] = []
    out = Printed(lines.append)
    for piece in ("[1] ", "2", "\n", "\n", "a\nb\n"):
        out.take(piece)
    assert lines == ["[1] 2", "a\nb"]


def test_of_a_line_without_end_only_the_beginning_is_kept() -> None:
    lines: list[str] = []
    out = Printed(lines.append)
    for _ in range(1000):
        out.take("x" * 1000)
    assert sum(map(len, out._pieces)) == MAX_LINE_CHARS
    out.take("\n")
    out.take("next\n")
    assert lines == ["x" * MAX_LINE_CHARS, "next"]


def test_lines_beyond_so_many_a_second_are_counted_and_the_count_is_told() -> None:
    lines: list[str] = []
    clock = Clock()
    limit = LineLimit(lines.append, clock)
    for _ in range(LINES_PER_S + 7):
        limit.write("a")
    assert lines == ["a"] * LINES_PER_S
    clock.now += 1
    limit.write("b")
    assert lines[LINES_PER_S:] == ["(lines left out: 7)", "b"]


def test_at_rest_the_count_is_told_too_and_once() -> None:
    lines: list[str] = []
    out = Printed(lines.append)
    for _ in range(3 * LINES_PER_S):
        out.take("a\n")
    out.take("unended")
    out.on_idle()
    out.on_idle()
    assert [line for line in lines if "left out" in line]
    assert len(lines) <= 2 * LINES_PER_S + 2


def test_print_goes_to_the_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    with caplog.at_level("INFO", "server.workers.captured_output"):
        captured_output.take_over()
        print("hello", 1)  # noqa: T201 - what is tested
    assert [record.__dict__["text"] for record in caplog.records] == ["hello 1"]
