"""What a fork imports (Python) or loads (R) at its first requests: `python -m tests.server.workers.first_requests`.

Arguments are the runtime and model files. It does as a template and its forks do, in one process for each: probe,
load, fork, answer. Each request that made the fork import a module or load a package is printed as a line of JSON.
"""

from __future__ import annotations

import gc
import gzip
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NoReturn, cast

import orjson
import pyarrow as pa

from server.wire.frames import BodyFormat, Encoding, Member
from server.wire.models import ModelSpec
from server.workers.runtime import Runtime
from server.workers.score import Model, score
from server.workers.template import _runtime, _score

ACCEPTED = (BodyFormat.JSON, BodyFormat.CSV, BodyFormat.ARROW)


def arrow(row: Mapping[str, Any]) -> bytes:
    """Two such rows."""
    table = pa.table({name: [value, value] for name, value in row.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def csv(row: Mapping[str, Any]) -> bytes:
    """Two such rows."""
    return (",".join(row) + "\n" + 2 * (",".join(map(str, row.values())) + "\n")).encode()


def requests(schema: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[tuple[str, Member]]:
    """Requests of every kind, each with its name."""
    if schema.get("horizon"):
        bodies = {BodyFormat.JSON: orjson.dumps({"options": {"h": 3}})}
    else:
        bodies = {
            BodyFormat.JSON: orjson.dumps({"rows": [row, row]}),
            BodyFormat.CSV: csv(row),
            BodyFormat.ARROW: arrow(row),
        }
        nothing = orjson.dumps({"rows": [dict.fromkeys(row), row]})
        yield "missing values", Member(nothing)
        yield "columns", Member(orjson.dumps({"columns": {name: [value] for name, value in row.items()}}))
        yield "what does not fit", Member(orjson.dumps({"rows": [dict.fromkeys(row, "?!")]}))
    yield "gzip", Member(gzip.compress(bodies[BodyFormat.JSON]), encoding=Encoding.GZIP)
    yield "zstd", Member(bytes(pa.Codec("zstd").compress(bodies[BodyFormat.JSON])), encoding=Encoding.ZSTD)
    for content, body in bodies.items():
        yield f"no {content.name}", Member(body[: len(body) // 2], content)
        yield from ((f"{content.name} to {accept.name}", Member(body, content, accept)) for accept in ACCEPTED)
    for name in (output["name"] for output in schema["outputs"]):
        yield f"the output {name}", Member(bodies[BodyFormat.JSON], parameters=f"output={name}".encode())


def loaded(runtime: Runtime) -> set[str]:
    """Python's modules and R's packages."""
    parts = [set(part.packages()) for part in runtime.shared()]
    return set(sys.modules).union(*parts)


Asked = list[tuple[str, Member]]


def described(runtime: Runtime, spec: ModelSpec, scratch: Path) -> tuple[ModelSpec, Asked]:
    """What a fork finds out about the model, and what to ask it; to make that imports modules too."""
    read_end, write_end = os.pipe()
    if not os.fork():
        runtime.after_fork(1, scratch, 0)
        found = runtime.describe(spec)
        with os.fdopen(write_end, "wb") as report:
            pickle.dump((found, list(requests(found.schema, found.example))), report)
        leave()
    os.close(write_end)
    with os.fdopen(read_end, "rb") as report:
        found, asked = pickle.load(report)
    os.wait()
    return replace(spec, schema=found.schema, example=found.example, rowwise=found.rowwise), asked


def answer(runtime: Runtime, models: list[tuple[Model, Asked]], scratch: Path) -> None:
    """Answer as a worker does."""
    runtime.after_fork(2, scratch, 1)
    before = loaded(runtime)
    for model, (what, member) in [(model, one) for model, asked in models for one in asked]:
        score(model, [member])
        new = sorted(loaded(runtime) - before)
        before.update(new)
        if new:
            say({"model": model.name, "request": what, "loaded": new})
    say({"requests": sum(len(asked) for _, asked in models)})


def say(what: Mapping[str, Any]) -> None:
    """A line of JSON."""
    sys.stdout.write(orjson.dumps(what).decode() + "\n")


def leave() -> NoReturn:
    """As forks do."""
    sys.stdout.flush()
    os._exit(0)


def main(name: str, *paths: str) -> None:
    """See the module."""
    runtime, scratch = _runtime(name), Path(mkdtemp())
    _score(name)
    runtime.start()
    found = [described(runtime, ModelSpec(Path(p).stem, Path(p).stem, "v", p), scratch) for p in paths]
    models = [(cast(Model, runtime.load(spec)), asked) for spec, asked in found]
    gc.collect()
    runtime.before_fork()
    if not os.fork():
        answer(runtime, models, scratch)
        leave()
    os.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
