"""What models print and log reaches the log by a socket: whole lines, with the pool's name, and not without an end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from unittest.mock import Mock

import pytest

from server.pools import output as output_module
from server.pools.output import MAX_LINE_BYTES, MAX_READ_PER_S, Output, labelled

LINE = b'{"time":"2026-01-01T00:00:00.000Z","level":"error","logger":"server.x","message":"m","worker":"r-1"}'


def test_a_log_line_keeps_its_members_and_is_told_to_be_the_pools() -> None:
    forged = LINE.replace(b'"worker":"r-1"', b'"pool":"python"')
    for line in (LINE, forged):
        assert labelled(line, "r") == json.loads(line) | {"pool": "r"}


def test_what_models_print_is_logged_as_information_and_not_where_only_warnings_are(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    for level, logged in (("INFO", 2), ("WARNING", 1), ("CRITICAL", 0)):
        caplog.set_level(level, output_module.__name__)
        for line in (b"printed by a model", LINE):
            output_module._to_the_log(labelled(line, "r"))
        assert len(capsys.readouterr().err.splitlines()) == logged


@pytest.mark.parametrize("line", [b"hello", b'{"a":1}', b"[]", b"\xff\x00", b'{"message":"m","time":1}', b'"text"'])
def test_what_is_no_log_line_becomes_the_text_of_one(line: bytes) -> None:
    told = labelled(line, "r")
    assert told.pop("time")
    assert told == {
        **{"level": "info", "logger": "server.pools.output", "message": "printed", "pool": "r"},
        "text": line.decode(errors="replace"),
    }


def heard(say: Callable[[Output], Awaitable[object]] | Callable[[Output], object]) -> list[str]:
    """The texts of the lines that an output has written."""
    written: list[Mapping[str, Any]] = []

    async def listen() -> None:
        output = Output("r", written.append)
        said: Any = say(output)
        if said is not None:
            await said
        output.connection_lost(None)

    asyncio.run(listen())
    return [record["text"] for record in written]


def test_lines_that_come_in_pieces_are_put_together() -> None:
    def say(output: Output) -> None:
        for piece in (b"on", b"e\ntw", b"o\n\n", b"three"):
            output.data_received(piece)

    assert heard(say) == ["one", "two", "three"]


def test_a_line_without_an_end_is_cut() -> None:
    texts = heard(lambda output: output.data_received(b"x" * (3 * MAX_LINE_BYTES)) and None)
    assert "".join(texts) == "x" * (3 * MAX_LINE_BYTES)


def test_more_than_anybody_could_read_is_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(output_module, "MAX_BYTES_PER_S", 30)

    def say(output: Output) -> None:
        output._second = int(asyncio.get_running_loop().time())
        for number in range(10):
            output._take(b"line number %d" % number)

    assert 2 <= len(heard(say)) <= 4
    assert [r.message for r in caplog.records] == ["output was dropped"]


def test_who_writes_without_an_end_has_to_wait() -> None:
    async def flooded() -> list[str]:
        transport = Mock(spec=asyncio.ReadTransport)
        output = Output("r", lambda line: None)
        output.connection_made(transport)
        for _ in range(MAX_READ_PER_S // MAX_LINE_BYTES + 2):
            output.data_received(b"x" * (MAX_LINE_BYTES - 1) + b"\n")
        return [name for name, _, _ in transport.method_calls]

    assert "pause_reading" in asyncio.run(flooded())


ATTACK = """
import os
for flags in (os.O_RDONLY, os.O_WRONLY):
    try:
        os.open("/proc/self/fd/2", flags)
    except OSError as e:
        print("not opened", flush=True)
for act in (lambda: os.ftruncate(2, 0), lambda: os.pwrite(2, b"x", 0), lambda: os.read(2, 10) or 1 / 0):
    try:
        act()
    except (OSError, ZeroDivisionError):
        print("not done", flush=True)
"""


@pytest.mark.parametrize("socket", [True, False])
def test_the_log_can_be_neither_read_nor_cut_nor_overwritten(socket: bool, tmp_path: Any) -> None:
    """With a file in the socket's place all of it succeeds."""

    async def attacked() -> list[str]:
        written: list[Mapping[str, Any]] = []
        output, end = await Output.open("r")
        output._write = written.append
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", ATTACK, stdout=end, stderr=end)
        end.close()
        await process.wait()
        await output.ended()
        return [record["text"] for record in written]

    if socket:
        assert asyncio.run(attacked()) == ["not opened"] * 2 + ["not done"] * 3
        return
    with (tmp_path / "log").open("w+b") as file:
        file.write(b"a line of somebody else\n")
        file.flush()
        subprocess.run([sys.executable, "-c", ATTACK], stdout=file, stderr=file, check=True)
    assert b"somebody else" not in (tmp_path / "log").read_bytes()
