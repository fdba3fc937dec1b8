"""Looking at new files: what comes first, and what needs no process to be refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from server.catalog.files import ModelFile
from server.config import Settings
from server.pools import probing
from server.pools.models import RefusedFile
from server.pools.probing import MODELS_PER_PROBE, Prober
from server.wire.commands import Report
from server.wire.models import ModelSpec


class Template:
    """Notes what it is asked to probe, and finds nothing good in it."""

    def __init__(self) -> None:
        self.probed: list[str] = []

    async def probe(self, specs: Sequence[ModelSpec], *_: object) -> AsyncIterator[Report]:
        for spec in specs:
            self.probed.append(spec.name)
            yield Report(spec.model_key, 0.1, code="not_a_model", reason="none")


def model(folder: Path, name: str, size: int, modified: float = 1e9, ending: str = ".rds") -> ModelFile:
    path = folder / f"{name}{ending}"
    runtime = "r" if ending == ".rds" else "python"
    return ModelFile(runtime, name, "1", f"{name}/1/1", path, path.with_suffix(".yaml"), size, modified, False)


def examined(folder: Path, files: Sequence[ModelFile]) -> tuple[list[str], dict[str, RefusedFile]]:
    """The names in the order in which they were probed, and what was refused."""
    template, refused = Template(), dict[str, RefusedFile]()

    async def living() -> Any:
        return template

    def refuse(one: RefusedFile) -> None:
        refused[one.file.name] = one

    async def examine() -> None:
        await Prober(Settings(), folder, living, lambda proven: None, refuse).examine(files)

    asyncio.run(examine())
    return template.probed, refused


def test_the_oldest_file_comes_first_and_what_is_hardly_a_model_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "PROBES_AT_ONCE", 1)
    junk = [model(tmp_path, f"a{n}", 30, 1.0) for n in range(2 * MODELS_PER_PROBE)]
    good = [model(tmp_path, "young", 1000, 2e9), model(tmp_path, "old", 1000, 1e9)]
    probed, refused = examined(tmp_path, [*junk, *good])
    assert probed[:2] == ["old", "young"]
    assert len(probed) == len(refused) == len(junk) + len(good)


def test_what_is_too_short_for_any_rds_file_is_refused_without_a_probe(tmp_path: Path) -> None:
    short = model(tmp_path, "short", 5)
    pickle = model(tmp_path, "pickle", 17, ending=".pkl")
    probed, refused = examined(tmp_path, [short, pickle])
    assert probed == ["pickle"]
    assert refused["short"].code == "unreadable"
    assert "5 bytes" in refused["short"].reason
    assert "saveRDS" in refused["short"].reason
