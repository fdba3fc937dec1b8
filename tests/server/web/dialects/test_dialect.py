"""Dialects side by side: which one a path belongs to, and in whose form it is told what went wrong there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from server.web.dialects.dialect import Dialects
from server.web.dialects.native import NATIVE, Native
from server.web.problems import Answer, Problem, problem
from server.web.scoring.target import Target
from server.wire.snapshot import Entry
from tests.server.web.routes.test_exception_handlers import ENTRY, Played


class Terse(Native):
    """Another server's contract: one path a model, and errors of one word."""

    name = "terse"

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        return {f"/terse/{entry.name}": False}

    def leads(self, path: str) -> bool:
        return path.startswith("/terse/")

    def owns(self, path: str) -> bool:
        return path.startswith("/terse")

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        body = problem.code.encode()
        return problem.status, [(b"content-length", b"%d" % len(body))], body


BOTH = Dialects(Terse(), NATIVE)


def test_a_model_has_the_paths_of_every_dialect() -> None:
    entry = replace(ENTRY, current=True)
    found = {path: (pinned, dialect.name) for path, pinned, dialect in BOTH.mounts(entry)}
    assert found == {
        "/terse/a": (False, "terse"),
        "/v1/models/a/score": (False, "native"),
        "/v1/models/a/versions/1/score": (True, "native"),
    }


def test_a_path_that_leads_to_no_model_is_still_of_its_dialect() -> None:
    assert (BOTH.leads("/terse/b"), BOTH.leads("/v1/models/b/score"), BOTH.leads("/docs")) == (True, True, False)
    assert BOTH.refusal("/terse/b", problem("unknown_model"), "id")[2] == b"unknown_model"
    assert b'"code":"unknown_model"' in BOTH.refusal("/docs/b", problem("unknown_model"), "id")[2]


def test_what_a_request_fails_with_is_told_and_counted_in_its_dialect() -> None:
    class Broken:
        def submit(self, _: object) -> None:
            raise RuntimeError

    target = Target(ENTRY, 30.0, False, cast(Any, Broken()), Terse())
    played = Played(target)
    assert played.wire.written.endswith(b"\r\n\r\ninternal_error")
    assert b"500 Internal Server Error" in played.wire.written
    assert [line["dialect"] for line in played.access.said()] == ["terse"]
