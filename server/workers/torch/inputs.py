"""Makes a program's tensors from a request's columns: images, tensors, or columns of numbers.

Preparing is cut in two, so that the next rows are decoded while the device computes: `begin` starts what can go on in
other threads, `batches` waits for it and makes tensors of one shape each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import torch

from server.wire.models import ImageSettings
from server.wire.schema import Input
from server.workers.errors import Fault, Invalid, LoadFailed
from server.workers.table import NA_INTEGER, Column
from server.workers.tensors import Tensor, shape_told
from server.workers.torch import images
from server.workers.torch.engine import Engine
from server.workers.torch.program import Argument

Batch = tuple[list[int], list[torch.Tensor]]
"""The numbers of some rows, and these rows as the program's arguments."""

SMALL_BYTES = 4096
"""Size of an image, in bytes, below which decoding it takes less time than handing it to another thread."""

UNKNOWN_SIZE = 32
"""Pixels of a side, or elements of a dimension, of a sample where any size would do."""


class Inputs(Protocol):
    """One way in which columns become arguments."""

    def begin(self, columns: list[Column], start: int, stop: int) -> Any:
        """Start to prepare some rows."""

    def batches(self, begun: Any, start: int, engine: Engine) -> Iterator[Batch]:
        """The rows that were begun, on the device. Raises Invalid with the rows that are at fault."""

    def sample(self, rows: int, generator: torch.Generator, engine: Engine) -> list[torch.Tensor]:
        """Made-up rows on the device, to try the program with."""

    def example(self) -> dict[str, Any]:
        """A made-up row as a request would have it."""


class ImageInput:
    """The only input is an image. Other threads decode it, and the device normalises it."""

    def __init__(
        self, spec: Input, settings: ImageSettings, argument: Argument | None, pool: ThreadPoolExecutor
    ) -> None:
        self._name = spec.name
        self._settings = settings
        self._pool = pool
        self._size = images.fixed_size(settings)
        self._expected: tuple[int | None, int | None] = (None, None)
        if argument is not None:
            self._fit(argument)
        channels = (1, settings.channels, 1, 1)
        self._mean = None if settings.mean is None else torch.tensor(settings.mean).view(channels)
        self._std = None if settings.std is None else torch.tensor(settings.std).view(channels)

    def _fit(self, argument: Argument) -> None:
        """Compare the images with what the program takes. Raises LoadFailed."""
        size = self._size or (None, None)
        ours = (self._settings.channels, *size)
        fits = len(argument.shape) == 3 and all(
            a is None or b is None or a == b for a, b in zip(argument.shape, ours, strict=True)
        )
        if not fits or not argument.dtype.is_floating_point:
            found = f"the sidecar's image is {shape_told(ours)} (channels, height, width)"
            raise LoadFailed(
                "bad_schema", f"{found}, the model takes {shape_told(argument.shape)}; change color, resize or crop"
            )
        if self._size is None:
            self._expected = argument.shape[1], argument.shape[2]

    def begin(self, columns: list[Column], start: int, stop: int) -> list[Callable[[], Any]]:
        work = [partial(images.pixels, data, self._settings) for data in cast("list[bytes]", columns[0])[start:stop]]
        return [self._pool.submit(w).result if len(w.args[0]) > SMALL_BYTES else w for w in work]

    def batches(self, begun: list[Callable[[], Any]], start: int, engine: Engine) -> Iterator[Batch]:
        by_shape: dict[tuple[int, ...], tuple[list[int], list[Any]]] = {}
        faults = []
        for row, decoded in enumerate(begun, start):
            try:
                pixels = self._checked(decoded())
            except images.Unfit as e:
                faults.append(Fault(row, self._name, e.expected, e.got, e.hint))
                continue
            at, alike = by_shape.setdefault(pixels.shape, ([], []))
            at.append(row)
            alike.append(pixels)
        if faults:
            raise Invalid("the rows do not fit the model's inputs", faults)
        for at, alike in by_shape.values():
            yield at, [self._normal(torch.from_numpy(np.stack(alike)), engine)]

    def _checked(self, pixels: Any) -> Any:
        height, width = self._expected
        if height not in (None, pixels.shape[0]) or width not in (None, pixels.shape[1]):
            expected = f"an image of {width or 'any'} x {height or 'any'} pixels"
            hint = "this model takes images of one size only"
            raise images.Unfit(expected, f"{pixels.shape[1]} x {pixels.shape[0]} pixels", hint)
        return pixels

    def _normal(self, pixels: torch.Tensor, engine: Engine) -> torch.Tensor:
        """Bytes of (rows, height, width, channels) as the model's numbers of (rows, channels, height, width)."""
        rows = engine.moved(pixels).permute(0, 3, 1, 2).to(torch.float32)
        rows = rows / 255 if self._settings.scale == 1 / 255 else rows * self._settings.scale
        if self._mean is not None:
            rows = rows - self._mean.to(rows.device)
        return rows / self._std.to(rows.device) if self._std is not None else rows

    def sample(self, rows: int, generator: torch.Generator, engine: Engine) -> list[torch.Tensor]:
        shape = (rows, *self._some_size(), self._settings.channels)
        return [self._normal(torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8), engine)]

    def example(self) -> dict[str, Any]:
        return {self._name: images.base64_of(images.blank(self._some_size()))}

    def _some_size(self) -> tuple[int, int]:
        height, width = self._size or self._expected
        return height or UNKNOWN_SIZE, width or UNKNOWN_SIZE


class TensorInputs:
    """Every input is a tensor and one argument. Rows of different shapes go apart, or are filled up with `pad`."""

    def __init__(self, specs: Sequence[Input], arguments: Sequence[Argument] | None, pad: float | None) -> None:
        self._specs = specs
        self._types = [a.dtype for a in arguments] if arguments is not None else [torch.float32] * len(specs)
        self._pad = pad

    def begin(self, columns: list[Column], start: int, stop: int) -> list[list[Tensor]]:
        return [column[start:stop] for column in cast("list[list[Tensor]]", columns)]

    def batches(self, begun: list[list[Tensor]], start: int, engine: Engine) -> Iterator[Batch]:
        rows = list(zip(*begun, strict=True))
        self._check(rows, start)
        groups: dict[Any, list[int]] = {}
        for at, row in enumerate(rows):
            groups.setdefault(None if self._pad is not None else tuple(t.shape for t in row), []).append(at)
        for group in groups.values():
            columns = zip(*(rows[at] for at in group), strict=True)
            made = [self._joined(column, dtype) for column, dtype in zip(columns, self._types, strict=True)]
            yield [start + at for at in group], [engine.moved(argument) for argument in made]

    def _check(self, rows: Sequence[Sequence[Tensor]], start: int) -> None:
        hint = "this model takes whole numbers below 2^31"
        faults = [
            Fault(row, spec.name, "whole numbers", "a number with a fraction, or too large", hint)
            for row, cells in enumerate(rows, start)
            for spec, cell, dtype in zip(self._specs, cells, self._types, strict=True)
            if not dtype.is_floating_point and any(v != int(v) or abs(v) >= 2**31 for v in cell.values)
        ]
        if faults:
            raise Invalid("the rows do not fit the model's inputs", faults)

    def _joined(self, cells: Sequence[Tensor], dtype: torch.dtype) -> torch.Tensor:
        tensors = [torch.frombuffer(c.values, dtype=torch.float64).reshape(c.shape) for c in cells]
        if len({t.shape for t in tensors}) == 1:
            return torch.stack(tensors).to(dtype)
        sizes = [max(t.shape[d] for t in tensors) for d in range(tensors[0].dim())]
        joined = torch.full((len(tensors), *sizes), self._pad or 0.0, dtype=torch.float64)
        for place, tensor in zip(joined, tensors, strict=True):
            place[tuple(slice(n) for n in tensor.shape)] = tensor
        return joined.to(dtype)

    def sample(self, rows: int, generator: torch.Generator, engine: Engine) -> list[torch.Tensor]:
        shapes = [[n or UNKNOWN_SIZE for n in spec.shape or ()] for spec in self._specs]
        return [
            engine.moved(_random((rows, *shape), dtype, generator))
            for shape, dtype in zip(shapes, self._types, strict=True)
        ]

    def example(self) -> dict[str, Any]:
        return {spec.name: torch.zeros([n or 1 for n in spec.shape or ()]).tolist() for spec in self._specs}


class NumberInputs:
    """Every input is a number. Together they are one tensor of (rows, inputs), in the stated order."""

    def __init__(self, specs: Sequence[Input], argument: Argument | None) -> None:
        self._names = [spec.name for spec in specs]
        self._dtype = argument.dtype if argument is not None else torch.float32
        if argument is not None and argument.shape not in ((len(specs),), (None,)):
            found = f"the sidecar has {len(specs)} columns"
            raise LoadFailed(
                "bad_schema", f"{found}, a row of the model's tensor is {shape_told(argument.shape)}; state as many"
            )

    def begin(self, columns: list[Column], start: int, stop: int) -> list[Column]:
        return [column[start:stop] for column in columns]

    def batches(self, begun: list[Column], start: int, engine: Engine) -> Iterator[Batch]:
        columns = [np.asarray(column) for column in begun]
        doubles = [np.where(c == NA_INTEGER, np.nan, c) if c.dtype.kind == "i" else c for c in columns]
        rows = torch.from_numpy(np.column_stack(doubles)).to(self._dtype)
        yield list(range(start, start + len(rows))), [engine.moved(rows)]

    def sample(self, rows: int, generator: torch.Generator, engine: Engine) -> list[torch.Tensor]:
        return [engine.moved(_random((rows, len(self._names)), self._dtype, generator))]

    def example(self) -> dict[str, Any]:
        return dict.fromkeys(self._names, 0)


def _random(shape: Sequence[int], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """Made-up numbers of an ordinary size. Whole ones are 0 and 1, which every table of embeddings has."""
    if dtype.is_floating_point:
        return torch.randn(*shape, generator=generator).to(dtype)
    return torch.randint(0, 2, tuple(shape), generator=generator).to(dtype)


def decoders() -> ThreadPoolExecutor:
    """Threads that decode images: as many as PyTorch may use, which are the cores that were granted."""
    return ThreadPoolExecutor(int(os.environ.get("OMP_NUM_THREADS", "1")), "decode")
