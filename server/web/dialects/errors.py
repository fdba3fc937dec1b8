"""What went wrong in the words of clients that show one text, or a JSON object of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from server.web.problems import CODE_HEADER, Answer, Problem


def in_one_text(problem: Problem) -> str:
    """The detail and the first fault in one text, because some clients show no more."""
    if not problem.errors:
        return problem.detail
    fault = problem.errors[0]
    column, row = fault.get("column"), fault.get("row")
    where = [f'column "{column}"'] if column is not None else []
    where += [f"row {row}"] if row is not None else []
    place = f"{', '.join(where)}: " if where else ""
    hint = f" ({fault['hint']})" if fault.get("hint") else ""
    return f"{problem.detail}: {place}expected {fault.get('expected')}, got {fault.get('got')}{hint}"


def answered(problem: Problem, status: int, document: Mapping[str, Any], request_id: str) -> Answer:
    """An answer with a JSON object; a header names the code, for clients and for another Tandem that relays."""
    return _answered(problem, status, "application/json", orjson.dumps(document), request_id)


def answered_in_text(problem: Problem, status: int, request_id: str) -> Answer:
    """An answer whose body is a plain text, with the same headers."""
    return _answered(problem, status, "text/plain; charset=utf-8", in_one_text(problem).encode(), request_id)


def _answered(problem: Problem, status: int, media_type: str, body: bytes, request_id: str) -> Answer:
    headers = problem.headers() | {"content-type": media_type, CODE_HEADER.decode(): problem.code}
    headers |= {"content-length": str(len(body)), "x-request-id": request_id}
    return status, [(name.encode(), value.encode()) for name, value in headers.items()], body


KSERVE_STATUSES = {"invalid_input": 400}
"""Statuses that KServe's protocols have in place of ours."""


def with_error(problem: Problem, request_id: str) -> Answer:
    """The problem as KServe writes it: an object whose `error` is a text, with what else there is to say beside it."""
    document: dict[str, Any] = {"error": in_one_text(problem), "code": problem.code, "request_id": request_id}
    if problem.errors:
        document["errors"] = list(problem.errors)
    if problem.model_message is not None:
        document["model_message"] = problem.model_message
    return answered(problem, KSERVE_STATUSES.get(problem.code, problem.status), document, request_id)
