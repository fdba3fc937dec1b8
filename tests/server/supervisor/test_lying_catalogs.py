"""What a server that is no good lists as its models: it is left out, or not heard, and ours are published as ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from auth.setup import PeerTokens
from server.config import Settings
from server.supervisor.remotes import Remotes
from server.web.json_schema import request_schema
from server.wire.snapshot import Entry, Snapshot
from tests.auth.conftest import write
from tests.server.web.test_lying_remotes import lying, whole

SCHEMA = {"inputs": [{"name": "x", "type": "numeric"}], "outputs": [{"name": "response", "type": "number"}]}
GOOD = asdict(Entry("good", "1", "r", "r", "ready", "good/1", "good.rds", False, 1, 0.0, schema=SCHEMA, current=True))
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
NO_CATALOG = "it answers what is no catalog"
ENTRIES: dict[str, Any] = {
    "no object": 7,
    "nothing": {},
    "a name that is an object": GOOD | {"name": {"a": 1}},
    "a name that is a way up": GOOD | {"name": "../auth"},
    "a name with a slash": GOOD | {"name": "a/b"},
    "a name of a line": GOOD | {"name": "a\nb"},
    "no name": GOOD | {"name": ""},
    "a version with a slash": GOOD | {"version": "1/score"},
    "another state": GOOD | {"state": "running"},
    "a time in words": GOOD | {"timeout_s": "soon"},
    "a list for a schema": GOOD | {"schema": [SCHEMA]},
    "a schema of nothing": GOOD | {"schema": {}},
    "a type that is none": GOOD | {"schema": SCHEMA | {"inputs": [{"name": "x", "type": "money"}]}},
    "an input without a name": GOOD | {"schema": SCHEMA | {"inputs": [{"name": None, "type": "numeric"}]}},
    "levels that are a number": GOOD | {"schema": SCHEMA | {"inputs": [{"name": "x", "type": "factor", "levels": 7}]}},
    "a factor without levels": GOOD | {"schema": SCHEMA | {"inputs": [{"name": "x", "type": "factor"}]}},
    "ready without a schema": GOOD | {"schema": None},
    "an example that is no row": GOOD | {"example": [1]},
    "warnings in a text": GOOD | {"load_warnings": "many"},
}
ANSWERS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "no JSON": (lambda: whole(OK, b"{"), NO_CATALOG),
    "a number that is none": (lambda: whole(OK, b'{"entries":[NaN]}'), NO_CATALOG),
    "a list": (lambda: whole(OK, b"[]"), NO_CATALOG),
    "an object for a list": (lambda: whole(OK, b'{"entries":{}}'), NO_CATALOG),
    "depth": (lambda: whole(OK, b'{"entries":' + b"[" * 99_999), NO_CATALOG),
    "a size beyond all": (lambda: iter([OK + b"content-length: 99999999999\r\n\r\n"]), NO_CATALOG),
    "no size": (lambda: iter([OK + b"transfer-encoding: chunked\r\n\r\n"]), NO_CATALOG),
    "less than it says": (lambda: iter([OK + b"content-length: 9\r\n\r\n{"]), "no connection"),
    "nothing new, at first": (lambda: whole(b"HTTP/1.1 304 X\r\n", b""), "it answers 304"),
    "elsewhere": (lambda: whole(b"HTTP/1.1 302 X\r\nlocation: http://a/\r\n", b""), "it answers 302"),
    "no HTTP": (lambda: iter([b"220 mail\r\n"]), "no connection"),
}


def catalog(*entries: Any) -> bytes:
    return orjson.dumps({"entries": entries})


def heard(folder: Path, *answers: Callable[[], Iterator[bytes]]) -> list[tuple[list[Entry], str | None]]:
    """What we know of a server's models, and why not, after each of these answers."""
    key = write(folder / "token.key", "k" * 32)
    found = []
    rest = iter(answers)

    async def listened() -> None:
        async def published() -> None:
            pass

        async with lying(lambda: next(rest)()) as url, aiohttp.ClientSession() as session:
            remotes = Remotes({"liar": url.partition("/v1")[0]}, key, published, lambda *_: None)
            for _ in answers:
                await remotes._ask(session, PeerTokens(key).token(0.0), "liar")
                found.append((remotes.entries(["ours"]), remotes.states["liar"].reason))

    asyncio.run(listened())
    return found


@pytest.mark.parametrize("lie", ENTRIES)
def test_a_model_that_cannot_be_shown_is_left_out_and_the_others_are_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lie: str
) -> None:
    body = catalog(ENTRIES[lie], GOOD, GOOD | {"name": "ours"}, GOOD | {"name": "theirs", "remote": "another"})
    [(entries, reason)] = heard(tmp_path, lambda: whole(OK, body))
    assert [(entry.name, entry.remote, entry.pool) for entry in entries] == [("good", "liar", "")]
    assert reason is None
    assert request_schema(entries[0])["oneOf"]
    sent = Snapshot(1, tuple(entries), {}, complete=True).to_data()
    assert Snapshot.from_data(sent).entries[0].name == "good"
    [left_out] = [record for record in caplog.records if record.message == "a remote lists what is no model"]
    assert len(left_out.reason) <= 200  # type: ignore[attr-defined]


@pytest.mark.parametrize("lie", ANSWERS)
def test_what_is_no_catalog_makes_its_models_unavailable_and_they_come_back(tmp_path: Path, lie: str) -> None:
    answer, why = ANSWERS[lie]

    def good() -> Iterator[bytes]:
        return whole(OK + b"etag: \xff\xfe\r\n", catalog(GOOD))

    if lie == "nothing new, at first":
        assert heard(tmp_path, answer) == [([], why)]
        return
    before, lied, after = heard(tmp_path, good, answer, good)
    assert [entry.state for entry in before[0]] == [entry.state for entry in after[0]] == ["ready"]
    assert [(entry.state, entry.code) for entry in lied[0]] == [("failed", "remote_unavailable")]
    assert (before[1], lied[1], after[1]) == (None, why, None)


def test_every_address_of_a_remote_is_a_url() -> None:
    with pytest.raises(ValueError, match="remotes"):
        Settings.model_validate({"remotes": "liar=file:///etc/passwd", "accounts": "a", "token_key": "k"})
