"""Whatever goes wrong, in every dialect: its own status and form, when to try again, and none of our insides."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from server.web.app import DIALECTS
from server.web.dialects.azureml import AZUREML
from server.web.dialects.dialect import Dialect
from server.web.dialects.kserve_v1 import KSERVE_V1
from server.web.dialects.mlflow import MLFLOW
from server.web.dialects.mls.scoring import MLS
from server.web.dialects.native import NATIVE
from server.web.dialects.open_inference import OPEN_INFERENCE
from server.web.dialects.vetiver import VETIVER, VETIVER_PYTHON
from server.web.problems import CODES, RETRY_AFTER_S, STATUS, Code, problem

ALL: dict[str, Dialect] = {
    "native": NATIVE,
    "open_inference": OPEN_INFERENCE,
    "kserve_v1": KSERVE_V1,
    "mlflow": MLFLOW,
    "azureml": AZUREML,
    "mls": MLS,
    "vetiver": VETIVER,
    "vetiver of Python": VETIVER_PYTHON,
}
OTHER_STATUSES: dict[str, dict[Code, int]] = {
    "open_inference": {"invalid_input": 400},
    "kserve_v1": {"invalid_input": 400},
    "mlflow": {"invalid_input": 400},
    "azureml": {"invalid_input": 400, "deadline_exceeded": 500},
    "mls": {"invalid_input": 400},
    "vetiver": {"bad_body": 422},
    "vetiver of Python": {"bad_body": 422},
}
"""Where a dialect has another status than the native one; there is no other difference."""
MESSAGE = dict.fromkeys(("mlflow", "azureml", "mls", "vetiver", "vetiver of Python"), "message")
IN_TEXT = ("invalid_input", "bad_body", "model_failed", "worker_crashed", "crashes_too_often", "queue_full")
IN_TEXT += ("overloaded", "no_worker", "deadline_exceeded")


def refused(dialect: str, code: Code) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = ALL[dialect].refusal(problem(code), "an-id")
    return status, {name.decode(): value.decode() for name, value in headers}, body


def test_every_dialect_that_is_served_is_tried_here() -> None:
    assert set(DIALECTS) == set(ALL.values())


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("dialect", ALL)
def test_a_refusal_has_the_dialects_status_and_form(dialect: str, code: Code) -> None:
    status, headers, body = refused(dialect, code)
    assert status == OTHER_STATUSES.get(dialect, {}).get(code, STATUS[code])
    assert headers["content-length"] == str(len(body)) and headers["x-request-id"] == "an-id"
    if dialect == "vetiver of Python" and code in IN_TEXT:
        assert headers["content-type"] == "text/plain; charset=utf-8"
        assert body.decode() == problem(code).detail
        return
    document: dict[str, Any] = orjson.loads(body)
    assert headers["content-type"] == ("application/problem+json" if dialect == "native" else "application/json")
    told = document["detail" if dialect == "native" else MESSAGE.get(dialect, "error")]
    assert told == problem(code).detail
    assert ("error" in document) == (dialect in ("open_inference", "kserve_v1") or dialect.startswith("vetiver"))


@pytest.mark.parametrize("dialect", ALL)
def test_who_is_to_try_again_is_told_when_in_every_dialect(dialect: str) -> None:
    assert {"queue_full", "overloaded", "no_worker"} <= set(RETRY_AFTER_S)
    for code, seconds in RETRY_AFTER_S.items():
        _, headers, _ = refused(dialect, code)
        assert int(headers["retry-after"]) >= max(1, seconds) and int(headers["retry-after-ms"]) > 0, code
    assert "retry-after" not in refused(dialect, "model_failed")[1]


@pytest.mark.parametrize("dialect", ALL)
def test_how_to_sign_in_is_told_in_every_dialect(dialect: str) -> None:
    assert refused(dialect, "unauthenticated")[1]["www-authenticate"].startswith("Bearer")
