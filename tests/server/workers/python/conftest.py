"""Models as an engineer saves them, described and loaded as a template does, asked in JSON as a caller does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import orjson
import pytest
from threadpoolctl import threadpool_limits

from server.wire.frames import Member, ReplyCode, ReplyPayload
from server.wire.models import Description, ModelSpec
from server.workers.python.runtime import PythonRuntime
from server.workers.score import Model, score


@dataclass
class Served:
    """One model in this process."""

    description: Description
    model: Model

    def inputs(self) -> dict[str, dict[str, Any]]:
        return {i["name"]: i for i in self.description.schema["inputs"]}

    def outputs(self) -> dict[str, dict[str, Any]]:
        return {o["name"]: o for o in self.description.schema["outputs"]}

    def documents(self, requests: Sequence[Sequence[Mapping[str, Any]]], output: str | None = None) -> list[Any]:
        """The reply documents of requests that arrive together."""
        return [orjson.loads(r.body) for r in self.reply(requests, output).results]

    def reply(self, requests: Sequence[Sequence[Mapping[str, Any]]], output: str | None = None) -> ReplyPayload:
        more = {} if output is None else {"output": output}
        return score(self.model, [Member(orjson.dumps({"rows": rows, **more})) for rows in requests])

    def ask(self, rows: Sequence[Mapping[str, Any]], output: str | None = None) -> list[Any]:
        """The predictions of one request."""
        [result] = self.reply([rows], output).results
        assert result.code == ReplyCode.OK, bytes(result.body)
        predictions: list[Any] = orjson.loads(result.body)["predictions"]
        return predictions

    def values(self, rows: Sequence[Mapping[str, Any]], output: str | None = None) -> list[Any]:
        """The predictions without the names of their columns."""
        return [[*p.values()] if isinstance(p, dict) else p for p in self.ask(rows, output)]


Serve = Callable[..., Served]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """As the environment of a template has it."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Describes and loads a model file, or an object that it saves as one; `more` is what a sidecar says."""
    runtime = PythonRuntime()

    def serve(model: Any, **more: Any) -> Served:
        path = model if isinstance(model, Path) else tmp_path_factory.mktemp("model") / "model.joblib"
        if path is not model:
            joblib.dump(model, path)
        spec = ModelSpec(model_key="k", name="m", version="v", path=str(path), **more)
        description = runtime.describe(spec)
        told = replace(spec, schema=description.schema, example=description.example, rowwise=description.rowwise)
        return Served(description, runtime.load(told))

    return serve
