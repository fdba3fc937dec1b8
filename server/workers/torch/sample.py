"""Rows to try a program with: the first golden row, varied a little, or rows made up from the schema alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
import torch
from torch import Tensor

from server.wire.schema import Input, Schema
from server.workers import golden as golden_rows
from server.workers.codecs.json import JSON
from server.workers.errors import BadBody, Invalid
from server.workers.table import to_columns
from server.workers.torch.engine import Engine
from server.workers.torch.inputs import Inputs

SEED = 1
VARIED = 0.1


def rows_to_try(
    inputs: Inputs, stated: tuple[Input, ...], golden: Sequence[Mapping[str, Any]], engine: Engine, rows: int
) -> list[Tensor]:
    """Arguments of several rows, on the device. They are the same ones every time."""
    generator = torch.Generator().manual_seed(SEED)
    row = golden_rows.example(golden)
    with suppress(BadBody, Invalid, TypeError):  # a bad golden row is told when it is checked
        if row is not None:
            schema = Schema(stated, ())
            columns = to_columns(schema, JSON.decode(orjson.dumps({"rows": [row]}), schema).cells)
            [(_, arguments)] = inputs.batches(inputs.begin(columns, 0, 1), 0, engine)
            return [_varied(argument, rows, generator) for argument in arguments]
    return inputs.sample(rows, generator, engine)


def _varied(argument: Tensor, rows: int, generator: torch.Generator) -> Tensor:
    """One row, made into several. Whole numbers stay as they are, since they may be places in a table."""
    many = argument.expand(rows, *argument.shape[1:])
    if not many.is_floating_point():
        return many.contiguous()
    noise = torch.randn(many.shape, generator=generator).to(many)
    return many + VARIED * noise * (1 + many.abs())
