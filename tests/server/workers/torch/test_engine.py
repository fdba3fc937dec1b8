"""Calling a program: options that change answers must be proven, and too little memory costs time, not answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from server.wire.models import TorchSettings
from server.workers.errors import LoadFailed, ModelFailed
from server.workers.torch.engine import Engine
from server.workers.torch.program import Program
from server.workers.torch.runtime import TorchRuntime
from tests.server.workers.torch.models import Net, Served, seeded, spec_of

CPU = torch.device("cpu")
SETTINGS = TorchSettings("none", None, 5, "fp32", False, False, False, 8, None, None)


class Cramped(nn.Module):
    """Doubles rows on a device that holds `fits` rows; it remembers the sizes of its calls."""

    def __init__(self, fits: int) -> None:
        super().__init__()
        self.fits = fits
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        if len(x) > self.fits:
            raise torch.OutOfMemoryError("no room")
        return 2 * x


def test_out_of_memory_halves_the_rows_of_a_call_for_good(caplog: pytest.LogCaptureFixture) -> None:
    module = Cramped(3)
    engine = Engine(Program(module, "fake"), SETTINGS, CPU)
    x = torch.arange(13.0)[:, None]
    with caplog.at_level(logging.WARNING):
        assert torch.equal(engine.run([x]), 2 * x)
    assert (engine.max_rows, module.sizes) == (3, [7, 3, 3, 1, 3, 3])
    assert "out of memory" in caplog.text
    module.sizes.clear()
    assert torch.equal(engine.run([x]), 2 * x)
    assert max(module.sizes) <= 3


def test_a_row_that_does_not_fit_alone_fails_and_the_next_one_is_served() -> None:
    module = Cramped(0)
    engine = Engine(Program(module, "fake"), SETTINGS, CPU)
    with pytest.raises(ModelFailed, match="too little memory for one row"):
        engine.run([torch.ones(4, 1)])
    module.fits = 1
    assert engine.run([torch.ones(4, 1)]).tolist() == [[2.0]] * 4


@pytest.mark.parametrize("step", [1, 2, 4, 8])
@pytest.mark.parametrize("rows", [1, 3, 8, 9, 21])
def test_calls_have_multiples_of_the_step_and_answers_only_the_rows(step: int, rows: int) -> None:
    module = Cramped(100)
    engine = Engine(Program(module, "fake"), SETTINGS, CPU)
    engine.step_by(step)
    x = torch.arange(float(rows))[:, None]
    assert torch.equal(engine.run([x]), 2 * x)
    assert all(size % step == 0 and size <= 8 for size in module.sizes)


def test_a_tensor_is_laid_out_in_one_way_however_it_was_made() -> None:
    """One channel is contiguous in both layouts; by the strides alone a convolution gave other bits."""
    strides = []

    class Look(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            strides.append(x.stride())
            return x

    engine = Engine(Program(Look(), "fake"), SETTINGS, CPU)
    engine.run([torch.zeros(2, 1, 8, 8)])
    engine.run([torch.zeros(2, 8, 8, 1).permute(0, 3, 1, 2)])
    assert strides[0] == strides[1] == (64, 64, 8, 1)


# Options that change answers

X = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)


def sidecar(options: dict[str, Any], off: float = 0.0) -> str:
    """Golden rows as plain PyTorch answers them, wrong by `off`."""
    with torch.inference_mode():
        answer = {str(k): v + off for k, v in enumerate(seeded(Net)(X)[0].tolist())}
    return yaml.safe_dump({"torch": options, "golden": [{"row": {"x": X[0].tolist()}, "response": answer}]})


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"precision": "fp16"}, {"channels_last": True}])
def test_an_option_that_changes_answers_is_accepted_within_the_tolerance(
    served: Callable[..., Served], net: Path, options: dict[str, Any]
) -> None:
    _, description = served(net, sidecar(options | {"tolerance": 0.02}))
    assert description.golden_rows == 1


def refusal(runtime: TorchRuntime, net: Path, side: str) -> LoadFailed:
    with pytest.raises(LoadFailed) as failed:
        runtime.describe(spec_of(net, side))
    return failed.value


def test_it_is_refused_with_the_largest_difference_where_golden_rows_disagree(runtime: TorchRuntime, net: Path) -> None:
    failed = refusal(runtime, net, sidecar({"precision": "bf16", "tolerance": 1e-7}))
    assert failed.code == "golden_mismatch"
    difference = float(str(failed).split("the largest difference is ")[1].split(",")[0])
    assert 1e-7 < difference < 0.02


def test_it_is_refused_without_golden_rows_and_without_a_tolerance(runtime: TorchRuntime, net: Path) -> None:
    assert refusal(runtime, net, sidecar({"precision": "bf16"})).code == "no_tolerance"
    assert refusal(runtime, net, "torch: {compile: true, tolerance: 0.1}").code == "no_golden"


def test_golden_rows_of_fp32_may_differ_in_the_last_digits_only(runtime: TorchRuntime, net: Path) -> None:
    assert runtime.describe(spec_of(net, sidecar({}, off=1e-6))).golden_rows == 1
    assert refusal(runtime, net, sidecar({}, off=1e-4)).code == "golden_mismatch"
    assert runtime.describe(spec_of(net, sidecar({"tolerance": 1e-3}, off=1e-4))).golden_rows == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize(
    "options",
    [{}, {"precision": "bf16"}, {"precision": "fp16", "channels_last": True}, {"cuda_graphs": True}],
)
def test_on_a_gpu_answers_agree_with_the_cpu(
    tmp_path: Path, runtime: TorchRuntime, net: Path, options: dict[str, Any]
) -> None:
    on_gpu = TorchRuntime()
    on_gpu.after_fork(1, tmp_path / "scratch", 1)
    assert on_gpu.describe(spec_of(net, sidecar(options | {"tolerance": 0.02}))).golden_rows == 1
