"""CUDA graphs: a program's kernels, recorded once for each size and replayed without the CPU's part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

WARM_UPS = 3
"""Calls before recording, in which libraries choose their kernels and take their memory."""

Key = tuple[tuple[torch.Size, torch.dtype], ...]


class Graphs:
    """A function of CUDA tensors, recorded for every shape that it is called with. Callers keep the shapes few."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._recorded: dict[Key, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}

    def __call__(self, arguments: Sequence[Tensor]) -> Tensor:
        """The function's value, in memory that later calls leave alone."""
        key = tuple((a.shape, a.dtype) for a in arguments)
        if key not in self._recorded:
            self._recorded[key] = self._record(arguments)
        graph, places, answer = self._recorded[key]
        for place, argument in zip(places, arguments, strict=True):
            place.copy_(argument)
        graph.replay()
        return answer.clone()

    def _record(self, arguments: Sequence[Tensor]) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        places = [a.clone() for a in arguments]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # PyTorch has no types for it
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._function(*places)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = self._function(*places)
        return graph, places, answer
