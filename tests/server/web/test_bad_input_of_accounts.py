"""What is no credential, no name, no time and no number: refused over HTTP, with words that say what is wrong."""

from __future__ import annotations

from base64 import b64encode

import httpx
import pytest

from auth.key_text import new_key
from tests.harness.tandem import Tandem

KEY = new_key().text
WRONG_CHECKSUM = KEY[:-1] + ("0" if KEY[-1] != "0" else "1")


def basic(raw: bytes) -> dict[str, bytes]:
    return {"authorization": b"Basic " + b64encode(raw)}


CREDENTIALS: dict[str, dict[str, bytes]] = {
    "Basic that is not base64": {"authorization": b"Basic !!!!"},
    "Basic of bytes beyond ASCII": {"authorization": b"Basic \xff\xfe"},
    "Basic without a colon": basic(b"ann"),
    "Basic that is not UTF-8": basic(b"ann:\xff\xfe"),
    "Basic with a wrong checksum": basic(b":" + WRONG_CHECKSUM.encode()),
    "Basic of an unknown key": basic(b"key:" + KEY.encode()),
    "a key with a wrong checksum": {"api-key": WRONG_CHECKSUM.encode()},
    "a bearer's key with a wrong checksum": {"authorization": b"Bearer " + WRONG_CHECKSUM.encode()},
    "an unknown key": {"x-api-key": KEY.encode()},
    "another scheme": {"authorization": b"Digest x"},
    "the scheme of other servers": {"authorization": b"Tandem x.y.z"},
    "a credential of more than 16 KiB": {"authorization": b"Bearer " + b"a" * 17_000},
    "a key of more than 16 KiB": {"api-key": b"a" * 17_000},
}


def test_what_is_no_credential_is_401_and_reads_the_same_whatever_is_wrong(tandem: Tandem) -> None:
    told = set()
    for headers in CREDENTIALS.values():
        for method, path in (("GET", "/auth/me"), ("POST", "/v1/models/mpg/score")):
            reply = httpx.request(
                method, tandem.url + path, headers=headers, content=b"{}" if method == "POST" else None
            )
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer"), headers
            told.add(str(reply.json() | {"request_id": ""}))
    assert len(told) == 1


def account(name: str) -> tuple[str, str, str]:
    return "POST", "/auth/accounts", f'{{"name": {name}, "kind": "service", "role": "scorer"}}'


def keys(**more: str) -> tuple[str, str, str]:
    given = {"name": '"n"'} | more
    return "POST", "/auth/keys", "{" + ", ".join(f'"{name}": {value}' for name, value in given.items()) + "}"


def limit(**more: str) -> tuple[str, str, str]:
    given = {"who": '"*"', "requests": "1", "per": '"day"'} | more
    return "PUT", "/auth/limits/x", "{" + ", ".join(f'"{name}": {value}' for name, value in given.items()) + "}"


GRANT = '{"to": "a", "role": "scorer", "models": ["a**"]}'
VALUES: dict[str, tuple[tuple[str, str, str], str]] = {
    **{f"days {days}": (keys(days=days), "days") for days in ("0", "-1", "1000000000", "NaN", "1e999", "1.5")},
    "grace NaN": (("POST", "/auth/keys/none/primary", '{"grace_s": NaN}'), "grace_s"),
    "a name with a slash": (account('"a/b"'), "name"),
    "no name": (account('""'), "name"),
    "a name with NUL": (account('"a\\u0000"'), "name"),
    "a name of half a character": (account('"\\ud800"'), ""),
    "a pattern with its asterisk before": (keys(models='["*a"]'), "pattern"),
    "a pattern of two asterisks": (("POST", "/auth/grants", GRANT), "pattern"),
    "a limit's pattern": (limit(model='"a b"'), "pattern"),
    "a limit of NaN": (limit(requests="NaN"), "requests"),
    "a time without a zone": (("GET", "/auth/audit?since=2026-01-01T00:00:00", ""), "since"),
    "a time that is none": (("GET", "/auth/audit?until=NaN", ""), "until"),
    "a day that is none": (("GET", "/auth/usage?from=2026-02-30", ""), "from"),
}


@pytest.mark.parametrize("what", VALUES)
def test_what_is_no_value_is_422_with_the_field(tandem: Tandem, what: str) -> None:
    (method, path, body), field = VALUES[what]
    headers = tandem.headers() | {"content-type": "application/json"}
    reply = httpx.request(method, tandem.url + path, content=body, headers=headers)
    assert reply.status_code == 422, reply.text
    said = reply.json()
    told = [error["column"] for error in said.get("errors", [])] + [said["detail"]]
    assert any(field in one for one in told), told
