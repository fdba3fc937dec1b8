"""Calling a program on its device: precision, memory layout, compilation, sizes of calls, and too little memory.

Rows come as tensors on the device and go as one tensor there; nothing here knows of requests, labels or images.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from server.wire.models import TorchSettings
from server.workers.errors import ModelFailed, OutOfMemory, lacks_memory
from server.workers.torch.graphs import Graphs
from server.workers.torch.program import Program, short_reason

log = logging.getLogger(__name__)

Forward = Callable[..., Tensor]
PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Engine:
    """One program, ready to be called with any number of rows.

    A call never has more than `max_rows` rows, which halves for good where the device runs out of memory, nor fewer
    than `min_rows`, and their number is a multiple of `step` (a library for linear algebra computes a lone row, or what
    is left over after the last four, in another order than the rest, and so to other bits). What is missing is filled
    up with copies of the last row, whose answers are dropped.
    """

    def __init__(self, program: Program, settings: TorchSettings, device: torch.device) -> None:
        self.device = device
        self.min_rows = program.min_rows
        self.max_rows = max(program.min_rows, min(settings.max_batch, program.max_rows or settings.max_batch))
        self.step = 1
        self._channels_last = settings.channels_last
        self._precision = PRECISIONS.get(settings.precision)
        self._forward = self._prepared(program.module, settings)
        self._graphs = Graphs(self._forward) if settings.cuda_graphs else None

    def step_by(self, step: int) -> None:
        """Call with multiples of `step` rows from now on.

        `max_rows` becomes such a multiple, if it is not below `step`.
        """
        self.step = step
        self.max_rows = max(self.max_rows // step * step, self.min_rows)

    def moved(self, rows: Tensor) -> Tensor:
        """Rows, moved from the host's memory to the device. A GPU goes on computing meanwhile."""
        if self.device.type != "cuda":
            return rows
        return rows.pin_memory().to(self.device, non_blocking=True)

    def run(self, arguments: Sequence[Tensor]) -> Tensor:
        """The program's answers, (rows, …). Raises ModelFailed with PyTorch's own words."""
        rows = len(arguments[0])
        if rows <= self.max_rows:
            try:
                return self._called(arguments, rows)
            except (RuntimeError, MemoryError, AssertionError, IndexError, ValueError, TypeError) as e:
                if not (isinstance(e, torch.OutOfMemoryError) or lacks_memory(e)):
                    raise ModelFailed(short_reason(e)) from e
            self._shrink(rows)
        half = min(self.max_rows, (rows + 1) // 2)
        return torch.cat([self.run([a[at : at + half] for a in arguments]) for at in range(0, rows, half)])

    def _shrink(self, rows: int) -> None:
        if rows == 1:
            raise OutOfMemory("the device has too little memory for one row")
        self.max_rows = rows // 2
        log.warning("out of memory: the model is called with fewer rows from now on", extra={"rows": self.max_rows})
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _called(self, arguments: Sequence[Tensor], rows: int) -> Tensor:
        size = max(-(-rows // self.step) * self.step, self.min_rows)
        if self._graphs is not None:
            size = min(1 << (size - 1).bit_length(), max(self.max_rows, size))
        filled = [self._laid_out(_filled(a, size)) for a in arguments]
        answers = self._graphs(filled) if self._graphs is not None else self._forward(*filled)
        if len(answers) != size:
            raise ModelFailed(f"the model gave {len(answers)} rows for {size}")
        return answers[:rows]

    def _laid_out(self, argument: Tensor) -> Tensor:
        """A tensor in the layout that is asked for, with its usual strides.

        A tensor with one channel is contiguous in both layouts; by its strides alone, which depend on how it was made,
        a convolution would choose its way, and with it the last bits.
        """
        if self._channels_last and argument.dim() == 4:
            moved = argument.permute(0, 2, 3, 1).contiguous()
            return moved.view(-1).view(moved.shape).permute(0, 3, 1, 2)
        argument = argument.contiguous()
        return argument.view(-1).view(argument.shape)

    def _prepared(self, module: torch.nn.Module, settings: TorchSettings) -> Forward:
        if settings.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch types it for tensors only
        if self._precision is not None:
            for parameter in module.parameters():
                if parameter.dim() > 1 and parameter.is_floating_point():  # autocast would do it at every call
                    parameter.data = parameter.data.to(self._precision)
        call = torch.compile(module, dynamic=True) if settings.compile else module
        return lambda *arguments: _only(self._autocast(call, arguments))

    def _autocast(self, call: Callable[..., object], arguments: Sequence[Tensor]) -> object:
        if self._precision is None:
            return call(*arguments)
        with torch.autocast(self.device.type, self._precision):
            return call(*arguments)


def _filled(rows: Tensor, size: int) -> Tensor:
    if len(rows) == size:
        return rows
    return torch.cat([rows, rows[-1:].expand(size - len(rows), *rows.shape[1:])])


def _only(answer: object) -> Tensor:
    """The one tensor that a program returns. Raises ModelFailed for anything else."""
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, list | tuple) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, Tensor) or answer.dim() == 0 or answer.is_complex():
        raise ModelFailed("the model must return one tensor of real numbers, whose first dimension is rows; wrap it so")
    return answer
