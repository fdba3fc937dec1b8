"""Replies of Machine Learning Server. Scripts need this without a codec, so nothing but orjson is imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

SCRIPT_OUTPUT = "result"
"""What a script's output is called, where its sidecar does not say."""

_HEAD = b'{"success":true,"errorMessage":"","%b":%b,"consoleOutput":%b,"changedFiles":[],"outputFiles":{}}'


def reply(member: str, values: Any, warnings: Sequence[str] = ()) -> bytes:
    """The result of a service: `member` is where its values are, and what it warned of is what its console said."""
    return _written(member, orjson.dumps(values), warnings)


def of_script(returned: bytes, parameters: bytes) -> bytes:
    """What a script returned, which is JSON, as the one output of a service."""
    name = orjson.dumps(parameters.decode() or SCRIPT_OUTPUT)
    return _written("outputParameters", b"{%b:%b}" % (name, returned), ())


def _written(member: str, values: bytes, warnings: Sequence[str]) -> bytes:
    return _HEAD % (member.encode(), values, orjson.dumps("\n".join(warnings)))
