"""Log lines: one JSON object each, only with fields that are meant to be there."""

from __future__ import annotations

import datetime
import logging
import subprocess
import sys
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.key_text import new_key
from server.logs import FIELDS, JsonFormatter, timestamp


def line(message: str = "hello", *args: object, exc_info: Any = None, **extra: Any) -> dict[str, Any]:
    """What a log call with these extras writes."""
    logger = logging.getLogger("server.some")
    record = logger.makeRecord(logger.name, logging.WARNING, "f.py", 1, message, args, exc_info, extra=extra)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    document: dict[str, Any] = orjson.loads(text)
    return document


def test_a_line_tells_when_how_severe_who_and_what() -> None:
    document = line("%s models", 3)
    assert document.pop("time").endswith("Z")
    assert document == {"level": "warning", "logger": "server.some", "message": "3 models"}


def test_known_fields_become_members() -> None:
    values = {name: f"the {name}" for name in FIELDS}
    assert line(**values).items() >= values.items()


def test_an_api_key_is_cut_to_its_id_wherever_it_stands() -> None:
    key = new_key()
    short = key.text[:-4]  # enough to guess the rest of
    told = line(f"asked for ?key={key.text}&x", path=f"/v1/{key.text}/{short}", text=f'"{key.text}"')
    assert told["message"] == f"asked for ?key=tdm_{key.id}&x"
    assert told["path"] == f"/v1/tdm_{key.id}/tdm_{key.id}"
    assert key.text[13:] not in str(told) and short[13:] not in str(told)


def test_what_only_looks_a_little_like_a_key_stays() -> None:
    assert line("tdm_short tdm_ tdm_abcdefgh")["message"] == "tdm_short tdm_ tdm_abcdefgh"


def test_fields_that_nobody_thought_of_do_not_leak() -> None:
    assert "s3cret" not in str(line(password="s3cret", body=b"s3cret", token="s3cret", authorization="s3cret"))


@given(st.text(), st.text())
def test_no_text_breaks_a_line_or_goes_missing(message: str, reason: str) -> None:
    document = line("%s", message, reason=reason)
    assert (document["message"], document["reason"]) == (message, reason)


@pytest.mark.parametrize("value", ["bad \udcff name", 2**70, {1: 2}, {"a": object()}, float("nan"), b"bytes"])
def test_a_value_that_json_cannot_hold_does_not_lose_the_line(value: object) -> None:
    assert line(reason=value)["message"] == "hello"


def test_an_exception_is_told_in_the_same_line() -> None:
    try:
        raise ValueError("no\nway")
    except ValueError:
        document = line(exc_info=sys.exc_info())
    assert "ValueError: no\nway" in document["exception"]


@given(st.datetimes(datetime.datetime(1970, 1, 2), datetime.datetime(2200, 1, 1)))
def test_a_timestamp_is_utc_to_the_millisecond(when: datetime.datetime) -> None:
    when = when.replace(tzinfo=datetime.UTC)
    told = timestamp(when.timestamp())
    assert len(told) == len("2024-01-01T00:00:00.000Z")
    apart = abs(datetime.datetime.fromisoformat(told) - when)
    assert apart <= datetime.timedelta(milliseconds=1, microseconds=10)


LOGGING_PROGRAM = """
import logging
from server import logs
logs.configure("INFO")
logging.getLogger("a.b").info("told", extra={"model": "mpg"})
logging.getLogger("a.b").debug("not told")
logging.getLogger("rpy2").info("chatter")
logging.getLogger("rpy2").warning("a warning")
"""


def test_every_logger_writes_json_to_standard_error() -> None:
    done = subprocess.run([sys.executable, "-c", LOGGING_PROGRAM], capture_output=True, check=True)
    assert done.stdout == b""
    lines = [orjson.loads(one) for one in done.stderr.splitlines()]
    assert [(one["logger"], one["message"]) for one in lines] == [("a.b", "told"), ("rpy2", "a warning")]
    assert lines[0]["model"] == "mpg"
