"""NVIDIA GPUs: how many this process may use, found without a library, and what nvidia-smi says of their use."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

QUERY = ("nvidia-smi", "--query-gpu=index,memory.used,utilization.gpu", "--format=csv,noheader,nounits")
TIMEOUT_S = 5.0
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment; `utilization` is a share of 1, None where the driver does not tell (a MIG part)."""

    number: str
    memory_bytes: int
    utilization: float | None


def count() -> int:
    """How many NVIDIA GPUs this process may use."""
    there = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return there if visible is None else min(there, len([v for v in visible.split(",") if v.strip() not in ("", "-1")]))


async def in_use(query: tuple[str, ...] = QUERY) -> list[Gpu]:
    """All GPUs of the machine; none where nvidia-smi is missing, fails or hangs."""
    try:
        process = await asyncio.create_subprocess_exec(
            *query, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return []
    try:
        output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return []
    return parse(output.decode(errors="replace")) if process.returncode == 0 else []


def parse(text: str) -> list[Gpu]:
    """What nvidia-smi printed, a line for each GPU; a line that cannot be read is left out."""
    found = []
    for line in text.splitlines():
        number, *values = (cell.strip() for cell in line.split(","))
        if len(values) == 2 and number.isdigit() and values[0].isdigit():
            share = int(values[1]) / 100 if values[1].isdigit() else None
            found.append(Gpu(number, int(values[0]) * MIB, share))
    return found
