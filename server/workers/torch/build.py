"""Builds a model that can be called from a file and its sidecar: which inputs, which device, which answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from server.wire.models import ImageSettings, ModelSpec, TorchSettings
from server.wire.schema import Input, Schema
from server.workers.errors import LoadFailed, ModelFailed
from server.workers.torch import program as programs
from server.workers.torch import settings as settings_of
from server.workers.torch.declared_inputs import of_signature, stated_inputs
from server.workers.torch.engine import Engine
from server.workers.torch.inputs import ImageInput, Inputs, NumberInputs, TensorInputs
from server.workers.torch.model import TorchModel
from server.workers.torch.outputs import Answers
from server.workers.torch.program import Program
from server.workers.torch.sample import rows_to_try


@dataclass(frozen=True, slots=True)
class Built:
    """A model with its parts, and a way to make rows on the device to try it with."""

    model: TorchModel
    engine: Engine
    settings: TorchSettings
    kind: str
    sample: Callable[[int], list[Tensor]]
    example: dict[str, Any]
    """A made-up row as a request would have it."""


def build(spec: ModelSpec, device: torch.device, pool: ThreadPoolExecutor) -> Built:
    """Load a file and try it with made-up rows. Raises LoadFailed or SchemaError."""
    settings_of.check(spec.settings)
    image, settings = spec.settings.image, spec.settings.torch
    settings_of.check_compiler(settings)
    settings_of.check_inexact(settings, len(spec.golden))
    if settings.cuda_graphs and device.type != "cuda":
        raise LoadFailed(
            "needs_cuda",
            "torch.cuda_graphs needs an NVIDIA GPU, and PyTorch finds none here; leave it out of the sidecar",
        )
    program = programs.load(spec.path, device)
    stated = stated_inputs(spec.inputs or (() if image else of_signature(spec.signature, program)), image, program)
    inputs = _inputs(stated, image, program, settings, pool)
    engine = Engine(program, settings, device)
    engine.step_by(spec.notes.get("step", 1))
    sample = partial(rows_to_try, inputs, stated, spec.golden, engine)
    answers = Answers(settings, _tried(engine, program, sample), spec.outputs)
    found = Schema(stated, answers.outputs, extra=spec.extra).to_data()
    model = TorchModel(spec, Schema.from_data(found), inputs, engine, answers)
    return Built(model, engine, settings, program.kind, sample, inputs.example())


def _inputs(
    stated: Sequence[Input],
    image: ImageSettings | None,
    program: Program,
    settings: TorchSettings,
    pool: ThreadPoolExecutor,
) -> Inputs:
    arguments = program.arguments
    first = arguments[0] if arguments else None
    if arguments is not None and len(arguments) > 1 and stated[0].type != "tensor":
        raise LoadFailed(
            "bad_schema", f"the model takes {len(arguments)} tensors; state each as an input of type tensor"
        )
    if image is not None:
        return ImageInput(stated[0], image, first, pool)
    if stated[0].type == "tensor":
        return TensorInputs(stated, arguments, settings.pad)
    return NumberInputs(stated, first)


@torch.inference_mode()
def _tried(engine: Engine, program: Program, sample: Callable[[int], list[Tensor]]) -> tuple[int, ...]:
    """The shape of one row's answer. Finds out whether a call may have several rows. Raises LoadFailed."""
    try:
        answer = engine.run(sample(1))
    except ModelFailed as e:
        if isinstance(e.__cause__, Exception) and programs.wants_cuda(e.__cause__):
            raise LoadFailed("needs_cuda", programs.NEEDS_CUDA) from e
        hint = "if the row is at fault, state a good one as a golden row in the sidecar"
        raise LoadFailed("predict_fails", f"the model fails on a row made up for a trial: {e}; {hint}") from e
    if engine.max_rows > 1:
        try:
            engine.run(sample(2))
        except ModelFailed as e:
            if program.arguments is not None:
                hint = "export it again, with an example of two rows, and what depends on their number left to PyTorch"
                raise LoadFailed("predict_fails", f"the model fails on two rows: {e}; {hint}") from e
            engine.max_rows = 1  # it was traced with one row
    return tuple(answer.shape[1:])
