"""One loaded model: a feed that makes the library's input, and the methods that answer."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from threadpoolctl import ThreadpoolController

from server.wire.models import ModelSpec
from server.wire.schema import Options, Schema
from server.workers.errors import ModelFailed, NotFinite, OutOfMemory, UnknownLevel, lacks_memory
from server.workers.predictions import Predictions
from server.workers.python import answers, per_request_matmul
from server.workers.python.answers import Method
from server.workers.python.feed import Feed
from server.workers.python.library_warnings import distinct
from server.workers.table import Column

_NOT_FINITE = re.compile(r"contains NaN|contains infinity|NaN or infinity")
_UNKNOWN = re.compile(r"[Ff]ound unknown categor|Unknown Category|previously unseen label")


class PythonModel:
    """A loaded model, ready to be called in this process."""

    def __init__(self, spec: ModelSpec, schema: Schema, feed: Feed, methods: Mapping[str, Method]) -> None:
        self.name = spec.name
        self.version = spec.version
        self.schema = schema
        self.max_rows = spec.max_rows
        self.rowwise = spec.rowwise
        self._feed = feed
        self._methods = methods
        self._columns = {o.name: o.columns for o in schema.outputs}
        self._pools: ThreadpoolController | None = None
        self._threads = spec.settings.threads

    def predict(self, columns: list[Column], sizes: Sequence[int], output: str, options: Options) -> Predictions:
        """Predict the rows of one or more requests (`Model`). Raises ModelFailed with the library's own words."""
        if len(sizes) == 1:
            return self._predict(columns, sizes[0], output, options, single=False)
        with per_request_matmul.requests(sizes):
            return self._predict(columns, sum(sizes), output, options, single=max(sizes) == 1)

    def _predict(self, columns: list[Column], rows: int, output: str, options: Options, single: bool) -> Predictions:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                with self._limits():
                    fed, method = self._feed(columns, rows, single), self._methods[output]
                    value = method(fed, dict(options)) if options else method(fed)
                return answers.predictions(value, self._columns[output], distinct(caught) if caught else ())
            except SystemExit as e:
                raise ModelFailed("the model ended the process (it calls sys.exit)") from e
            except Exception as e:
                if not lacks_memory(e):
                    raise failure(e) from e
                words = str(e)
        raise OutOfMemory(words or "MemoryError")

    def _limits(self) -> AbstractContextManager[Any]:
        """A context in which libraries use as many threads as the sidecar grants, or one, as the environment says."""
        if self._threads == 1:
            return nullcontext()
        if self._pools is None:
            self._pools = ThreadpoolController()  # not before a fork: it looks at what is loaded
        limits: AbstractContextManager[Any] = self._pools.limit(limits=self._threads)
        return limits


def failure(error: Exception) -> ModelFailed:
    """A failed call as an error: the caller's fault where the library blames the rows, else the model's."""
    words = str(error) or type(error).__name__
    if _NOT_FINITE.search(words):
        return NotFinite(words)
    if _UNKNOWN.search(words):
        return UnknownLevel(words)
    return ModelFailed(words)
