"""A model as its library holds it; what describing and loading need to know of one, whatever the library."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Protocol

from server.wire.models import ModelSpec
from server.wire.schema import Schema
from server.workers.python import answers, files, inputs, native, per_request_matmul, reasons, samples
from server.workers.python.answers import Method
from server.workers.python.feed import Feed, feed_for, takes_arrays
from server.workers.python.tree import attribute, forget_names, use_threads


@dataclass(frozen=True, slots=True)
class About:
    """A model's class, and the package that it needs."""

    model_class: str
    package: str | None
    version: str | None


class ReadModel(Protocol):
    """A model that was read from its file, and what its library says of it."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings that came while the file was read."""

    @property
    def age(self) -> str | None:
        """The version of the library that made the model and the one that is here, if they differ."""

    @property
    def alone(self) -> str | None:
        """Why the model must have a process of its own whose workers read it by themselves.

        None if that is to be tried.
        """

    @property
    def methods(self) -> Mapping[str, Method]:
        """The outputs, each with the function that answers it; the default comes first."""

    def about(self) -> About:
        """The model's class, and the package that it needs."""

    def inputs(self, stated: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The inputs, with what the sidecar states. One without `na` is still to be tried. Raises LoadFailed."""

    def usual(self, names: Sequence[str]) -> samples.Middles:
        """Usual values of inputs, as far as the model remembers them."""

    @property
    def options(self) -> Sequence[Mapping[str, Any]]:
        """What a request may say in its options, as a schema has them. The methods take them after the rows."""

    def feed(self, schema: Schema) -> Feed:
        """How the model wants its rows. Raises SchemaError."""

    def ready(self, feed: Feed) -> Mapping[str, Method]:
        """The methods as they are called from now on, with rows of this feed, of several requests too."""

    def output(self, name: str, value: Any) -> dict[str, Any]:
        """The schema of an output, from an answer."""


class Estimator:
    """An estimator of scikit-learn, or an object that has the methods of one."""

    alone: str | None = None
    options: Sequence[Mapping[str, Any]] = ()

    def __init__(self, spec: ModelSpec) -> None:
        self._signature = spec.signature
        found, warnings = files.read(spec)
        threads = spec.settings.threads
        self._model = native.that_takes_rows(found, threads)
        self.warnings: tuple[str, ...] = warnings
        self.methods: Mapping[str, Method] = {} if isinstance(self._model, type) else answers.methods(self._model)
        if not self.methods:
            raise reasons.no_model(self._model)
        use_threads(self._model, threads)

    @property
    def age(self) -> str | None:
        """The version of scikit-learn that made the model and the one that is here, if they differ."""
        return reasons.age(reasons.warned_of(self.warnings))

    def about(self) -> About:
        """The outermost class with its steps, and the package of that class."""
        root = type(self._model).__module__.partition(".")[0]
        package = reasons.distribution(root)
        steps = [type(step).__name__ for _, step in getattr(self._model, "steps", ()) if not isinstance(step, str)]
        name = type(self._model).__name__ + (f" of {', '.join(steps)}" if steps else "")
        try:
            return About(name, package, metadata.version(package))
        except metadata.PackageNotFoundError:  # it came under another name: xgboost-cpu
            return About(name, package, attribute(sys.modules.get(root), "__version__"))

    def inputs(self, stated: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The inputs that the estimator remembers, with what the sidecar states. Raises LoadFailed."""
        return inputs.of(self._model, stated, self._signature)

    def usual(self, names: Sequence[str]) -> samples.Middles:
        """Usual values of inputs, as far as a part of the estimator remembers them."""
        return samples.middles(self._model, names)

    def feed(self, schema: Schema) -> Feed:
        """Rows as the estimator was fitted on them: an array, a data frame, or texts. Raises SchemaError."""
        return feed_for(self._model, schema)

    def ready(self, feed: Feed) -> Mapping[str, Method]:
        """The methods, with weights that know where one request ends and the next begins."""
        if takes_arrays(feed):
            forget_names(self._model)
        per_request_matmul.prepare(self._model)
        return self.methods

    def output(self, name: str, value: Any) -> dict[str, Any]:
        """The schema of an output, from an answer."""
        return answers.output(self._model, name, value)
