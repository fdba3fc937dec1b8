"""Commands to a template and its answers: unchanged by the way, and told from each other by what they do."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.wire.commands import (
    Forked,
    ForkPrepared,
    Load,
    Loaded,
    MakeWorker,
    PrepareFork,
    Probe,
    Probing,
    Report,
    Started,
    command,
)
from server.wire.record import Misfit, Record
from tests.server.wire.test_models import descriptions, some_texts, specs, texts

pids = st.integers(1, 2**22)
commands = st.one_of(
    st.builds(Probe, st.lists(specs, max_size=2).map(tuple), texts),
    st.builds(Load, specs),
    st.builds(PrepareFork, some_texts),
    st.builds(MakeWorker, st.integers(1, 64), st.integers(0, 2**31 - 1), texts),
)
reasons = st.none() | texts
answers = st.one_of(
    st.builds(Started, reasons, st.dictionaries(texts, texts, max_size=3)),
    st.builds(Probing, pids),
    st.builds(Loaded, reasons, reasons),
    st.just(ForkPrepared()),
    st.builds(Forked, pids),
    st.builds(Report, texts, st.floats(0, 99), descriptions, last=st.booleans()),
    st.builds(Report, texts, st.floats(0, 99), code=st.sampled_from(["no_schema", "failed"]), reason=texts),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(commands)
def test_a_command_crosses_the_socket_unchanged(sent: Record) -> None:
    assert command(orjson.loads(orjson.dumps(sent.to_data()))) == sent


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answers)
def test_an_answer_crosses_the_socket_unchanged(sent: Record) -> None:
    assert type(sent).from_data(orjson.loads(orjson.dumps(sent.to_data()))) == sent


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (PrepareFork(["a"]), {"do": "prepare_fork", "keep": ["a"]}),
        (MakeWorker(2, 7, "/tmp/r-2"), {"do": "fork", "slot": 2, "seed": 7, "scratch": "/tmp/r-2"}),
        (Loaded("no", None), {"did": "load", "failed": "no", "changed": None}),
        (ForkPrepared(), {"did": "prepare_fork"}),
        (Forked(7), {"did": "fork", "pid": 7}),
        (Started(None, {"r": "4.5"}), {"did": "start", "failed": None, "facts": {"r": "4.5"}}),
    ],
)
def test_what_is_said_is_what_the_module_shows(sent: Record, said: dict[str, Any]) -> None:
    assert sent.to_data() == said


@pytest.mark.parametrize("data", [None, [], {}, {"do": "dance"}, {"do": ["fork"]}, {"do": "fork"}, {"keep": []}])
def test_what_is_no_command_is_refused(data: Any) -> None:
    with pytest.raises(Misfit):
        command(data)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Forked, {"pid": 1}),
        (Forked, {"did": "probe", "pid": 1}),
        (Forked, {"did": "fork", "pid": "1"}),
        (Loaded, {"did": "prepare_fork"}),
        (Started, {"did": "start", "failed": None, "facts": {"r": 4}}),
        (Report, {"model_key": "k", "seconds": 0.1, "code": "verified", "reason": "a code that no probe gives"}),
        (Report, {"model_key": "k", "seconds": 0.1, "description": {}}),
        (Report, {"model_key": "k", "seconds": 0.1, "code": "failed"}),
    ],
)
def test_an_answer_to_something_else_is_none(kind: type[Record], data: Any) -> None:
    with pytest.raises(Misfit):
        kind.from_data(data)
