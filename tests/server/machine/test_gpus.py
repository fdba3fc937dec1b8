"""GPUs: what nvidia-smi prints is read, and a machine where it is missing, fails or prints nonsense has none."""

from __future__ import annotations

import asyncio
import sys

from hypothesis import given
from hypothesis import strategies as st

from server.machine.gpus import Gpu, in_use, parse

PRINTED = "0, 1024, 37\n1, 0, [N/A]\n"


def test_what_nvidia_smi_prints_is_read() -> None:
    assert parse(PRINTED) == [Gpu("0", 1 << 30, 0.37), Gpu("1", 0, None)]


@given(st.text(max_size=60))
def test_nonsense_is_no_gpu_or_a_whole_one(text: str) -> None:
    assert all(gpu.memory_bytes >= 0 for gpu in parse(text))


def test_the_command_is_asked() -> None:
    command = (sys.executable, "-c", f"print({PRINTED!r})")
    assert asyncio.run(in_use(command)) == parse(PRINTED)


def test_without_the_command_or_where_it_fails_there_are_none() -> None:
    assert asyncio.run(in_use(("no-such-command",))) == []
    assert asyncio.run(in_use((sys.executable, "-c", "print('0, 1, 2'); raise SystemExit(9)"))) == []
