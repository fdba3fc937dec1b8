"""The PyTorch runtime: programs of torch.export and TorchScript, on a GPU or the CPU.

The template only imports PyTorch. CUDA does not survive a fork, so it is first asked for in the worker, which then
loads the models itself: slot n takes GPU n-1, a probe the first one, and without a GPU everything runs on the CPU.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from server.wire.models import Description, ModelSpec
from server.wire.schema import SchemaError
from server.workers import golden
from server.workers.errors import BadBody, Invalid, LoadFailed, ModelFailed
from server.workers.runtime import Runtime
from server.workers.torch import inputs, proof, settings
from server.workers.torch.build import Built, build
from server.workers.torch.model import TorchModel

WARM_CALLS = 3
"""Calls of a model before it serves: TorchScript optimises at its second call."""


class TorchRuntime(Runtime):
    """PyTorch in this process. Each worker loads the models itself."""

    name = "torch"
    loads_in_worker = True

    def __init__(self) -> None:
        self._device = torch.device("cpu")
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> Mapping[str, str]:
        """Say which PyTorch this is, and nothing more: a template must not touch CUDA."""
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # its helpers would outlive a worker
        logging.getLogger("torch.export").setLevel(logging.CRITICAL)  # it prints a stack for every bad file
        warnings.filterwarnings("ignore", module="PIL")
        return {"torch": torch.__version__, "cuda": torch.version.cuda or "none"}

    @property
    def on_gpu(self) -> bool:
        """Whether this fork has a GPU. It is known after the fork."""
        return self._device.type == "cuda"

    def after_fork(self, seed: int, scratch: Path, slot: int) -> None:
        """Give this fork random numbers, a folder, a device and the threads that were granted."""
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        torch.manual_seed(seed)
        if torch.cuda.is_available():
            self._device = torch.device("cuda", max(slot - 1, 0) % torch.cuda.device_count())
            torch.cuda.set_device(self._device)
            torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
        self._pool = inputs.decoders()

    def describe(self, spec: ModelSpec) -> Description:
        """Read the file, find its schema, check its golden rows, prove whether it may be batched."""
        built = self._build(spec)
        options = built.settings
        golden.check(built.model, spec.golden, options.tolerance or settings.FP32_TOLERANCE)
        example = golden.example(spec.golden) or built.example
        try:
            verdict = proof.prove(built.engine, built.sample(proof.ROWS), options.tolerance)
        except ModelFailed as e:
            verdict = proof.Verdict(False, f"sample rows cannot be scored together: {e}")
        return Description(
            schema=built.model.schema.to_data(),
            model_class=built.kind,
            package="torch",
            package_version=torch.__version__,
            example=example,
            example_prediction=_predicted_example(built.model, example),
            rowwise=verdict.rowwise,
            batch_reason=verdict.reason,
            golden_rows=len(spec.golden),
            notes={"step": verdict.step},
        )

    def load(self, spec: ModelSpec) -> TorchModel:
        """Load a described model, and call it in the sizes that take long at first."""
        built = self._build(spec)
        with suppress(ModelFailed), torch.inference_mode():
            for _ in range(WARM_CALLS):
                built.engine.run(built.sample(1))
            if self._device.type == "cuda":  # it then has the memory, and has chosen the kernels
                built.engine.run(built.sample(built.engine.max_rows))
        return built.model

    def _build(self, spec: ModelSpec) -> Built:
        if self._pool is None:
            self._pool = inputs.decoders()
        try:
            return build(spec, self._device, self._pool)
        except SchemaError as e:
            raise LoadFailed("bad_schema", str(e)) from e


def _predicted_example(model: TorchModel, row: Mapping[str, Any]) -> Any:
    with suppress(BadBody, Invalid, ModelFailed, TypeError):
        return golden.predict_row(model, row, model.schema.default_output)
    return None
