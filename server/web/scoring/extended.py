"""What the scoring route does for a contract that has more than a body which is posted to a path."""

from __future__ import annotations

from collections.abc import Mapping

from auth.principal import Principal
from server.dispatch.dispatcher import Scored
from server.web.dialects.dialect import Dialect, Extended
from server.web.json_schema import is_raw
from server.web.problems import Answer, Problem, ProblemError, problem
from server.web.scoring.caller import Caller
from server.web.scoring.relay import Relayed
from server.web.scoring.target import Target


def led(targets: Mapping[str, Target], aliases: Mapping[str, str], caller: Caller) -> tuple[str, Target | None]:
    """Where a request leads, and by which path: that of its address, or one that a setting or its headers mean."""
    if caller.path in aliases:
        caller.path = aliases[caller.path]
    target = targets.get(caller.path)
    if target is None or target.dialect.extended is None or target.fork is not None:
        return caller.path, target
    path = target.dialect.extended.path(caller)
    return path, targets.get(path)


Written = tuple[int, bytes, bytes]
"""Status, lines of the head and body of an answer."""


def at_once(caller: Caller, target: Target, request_id: str) -> Written | None:
    """The answer to a method that asks nothing of the model. Raises ProblemError for one that is not taken."""
    extended = target.dialect.extended
    methods = ("POST",) if extended is None else extended.methods(target.entry)
    if extended is None or caller.method.decode() not in methods:
        raise ProblemError(problem("method_not_allowed", allow=", ".join(methods)))
    answer = extended.at_once(caller, target.entry)
    if answer is None:
        return None
    status, headers, body = answer
    return _written((status, [*headers, (b"x-request-id", request_id.encode())], body), extended, caller, request_id)


def parameters(caller: Caller, target: Target) -> bytes:
    """What the codec is told beside the body: the query, where the contract has nothing else."""
    extended = target.dialect.extended
    return caller.query if extended is None else extended.parameters(caller, target.entry)


def relayed(principal: Principal, target: Target, caller: Caller, request_id: str, deadline: float) -> Relayed:
    """The request as another server is sent it, which has the model."""
    query = caller.query.decode("latin-1")
    url = f"{target.url}?{query}" if query else target.url
    to_script = target.dialect.extended is not None and is_raw(target.entry)
    asked = caller.method, url, caller.headers, request_id
    return Relayed(principal, target.entry.remote, *asked, deadline, target.dialect, to_script)


def answered(scored: Scored, target: Target | None, accept: int, caller: Caller, request_id: str) -> tuple[int, bytes]:
    """The status of a good answer, and the lines of its head that are its dialect's."""
    assert target is not None
    dialect = target.dialect
    if dialect.extended is None:
        return 200, dialect.content_lines(accept, scored.result)
    status, lines = dialect.extended.answered(scored.result, target.shown, scored.reply.predict_s)
    return status, lines + dialect.extended.echoed(caller.headers, request_id)


def refusal(dialect: Dialect, said: Problem, caller: Caller, request_id: str, timeout_s: float) -> Written:
    """Status, lines of the head and body of the answer that tells what went wrong."""
    extended = dialect.extended
    if extended is not None:
        said = extended.in_own_words(said, timeout_s)
    return _written(dialect.refusal(said, request_id), extended, caller, request_id)


def _written(answer: Answer, extended: Extended | None, caller: Caller, request_id: str) -> Written:
    status, headers, body = answer
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return status, lines if extended is None else lines + extended.echoed(caller.headers, request_id), body
