"""Asks a running Tandem with Machine Learning Server's own client, in an environment that has it; its answers, as JSON.

python ask_mls.py URL USER PASSWORD     with {"model": {"column": [values]}} on standard input

The client makes a method from a code object, in a way that Python has not had since 3.8, and imports `imp`, which is
gone since 3.12. Both are put in its way here; all that goes over the wire is its own.
"""

from __future__ import annotations

import json
import sys
import time
import types
from collections.abc import Callable
from typing import Any

sys.modules.setdefault("imp", types.ModuleType("imp"))

from azureml.deploy import DeployClient  # noqa: E402
from azureml.deploy.server import MLServer, service  # noqa: E402


def method(_: object, __: str, names: list[str], doc: str = "") -> Callable[..., Any]:
    def consume(self: Any, *values: Any) -> Any:
        return self._consume(dict(zip(names[1:], values, strict=True)))

    consume.__doc__ = doc
    return consume


service.function_beget = method


def bits(value: Any) -> Any:
    return value.hex() if isinstance(value, float) else value


def refused(work: Callable[[], Any]) -> str:
    try:
        work()
    except Exception as e:
        return str(e)
    return "nothing was refused"


def main(url: str, user: str, password: str) -> None:
    given = json.load(sys.stdin)
    client = DeployClient(url, use=MLServer, auth=(user, password))
    told: dict[str, Any] = {"services": [one["name"] for one in client.list_services()]}
    for model, columns in given.items():
        asked = client.get_service(model)
        about = asked.capabilities()
        consume = getattr(asked, about["operation_id"])
        [output] = [one["name"] for one in about["outputs"]]
        rows = list(zip(*columns.values(), strict=True))
        told[model] = [bits(consume(*row).output(output)) for row in rows]
        batch = asked.batch([dict(zip(columns, row, strict=True)) for row in rows], parallel_count=2).start()
        while (results := batch.results()).state != "complete":
            time.sleep(0.02)
        told[f"{model}, batch"] = [bits(results.execution(at).output(output)) for at in range(len(rows))]
        told[f"{model}, batches"] = batch.execution_id in asked.list_batch_executions()
        told[f"{model}, files"] = batch.list_artifacts(0)
        batch.cancel()
        told[f"{model}, swagger"] = json.loads(asked.swagger())["swagger"]
        wrong = (*rows[0][:-1], "no such level" if isinstance(rows[0][-1], str) else None)
        told[f"{model}, refused"] = refused(lambda consume=consume, wrong=wrong: consume(*wrong))
    told["no such service"] = refused(lambda: client.get_service("none"))
    told["no publishing"] = refused(lambda: client.delete_service("mpg", version="v1"))
    told["no such user"] = refused(lambda: DeployClient(url, use=MLServer, auth=(user, "wrong")))
    json.dump(told, sys.stdout)


main(*sys.argv[1:])
