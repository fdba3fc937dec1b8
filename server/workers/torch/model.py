"""A loaded PyTorch model: columns in, predictions out, a chunk of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from server.wire.models import ModelSpec
from server.wire.schema import Options, Schema
from server.workers.errors import ModelFailed
from server.workers.predictions import Predictions
from server.workers.table import Column
from server.workers.torch.engine import Engine
from server.workers.torch.inputs import Inputs
from server.workers.torch.outputs import Answers


class TorchModel:
    """A loaded PyTorch model, as `server.workers.score.Model` describes one."""

    def __init__(self, spec: ModelSpec, schema: Schema, inputs: Inputs, engine: Engine, answers: Answers) -> None:
        self.name = spec.name
        self.version = spec.version
        self.schema = schema
        self.max_rows = spec.max_rows
        self.rowwise = spec.rowwise
        self._inputs = inputs
        self._engine = engine
        self._answers = answers

    @torch.inference_mode()
    def predict(self, columns: list[Column], sizes: Sequence[int], output: str, options: Options) -> Predictions:
        """Predict all rows; the next chunk is decoded while the device computes this one. Raises ModelFailed."""
        chunk = self._engine.max_rows
        order: list[int] = []
        parts: list[torch.Tensor] = []
        begun = self._inputs.begin(columns, 0, chunk)
        for start in range(0, sum(sizes), chunk):
            now, begun = begun, self._inputs.begin(columns, start + chunk, start + 2 * chunk)
            for at, arguments in self._inputs.batches(now, start, self._engine):
                order += at
                parts.append(self._answers.activated(self._engine.run(arguments)))
        try:
            parts = [part.cpu() for part in parts]  # here a GPU is waited for
        except RuntimeError as e:
            raise ModelFailed("the device failed") from e
        return self._answers.predictions(parts, order, output)
