"""Bad input in every dialect: its own 4xx, never a 5xx, and never the failure of who asks at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest

from tests.harness.tandem import Tandem
from tests.server.web.dialects.test_open_inference import native, post
from tests.server.web.dialects.ways import JSON, WAYS, Column, Way, code, told

CAR: list[Column] = [("wt", ["2.6", "3.5"]), ("hp", ["110", "90"]), ("cyl", ['"6"', '"4"'])]
DEEP = 50_000


def changed(name: str, *values: str) -> list[Column]:
    return [(one, values if one == name else was) for one, was in CAR]


BAD: dict[str, list[Column]] = {
    "an unknown level": changed("cyl", '"6"', '"5"'),
    "2^53 + 1": changed("wt", "9007199254740993", "1"),
    "a text for a number": changed("wt", "2.6", '"much"'),
    "an object for a number": changed("wt", "2.6", '{"a": 1}'),
    "a number for a level": changed("cyl", '"6"', "null, 1"),
    "a column twice": [*CAR, ("wt", ["1", "2"])],
    "no such column": [("weight", was) if name == "wt" else (name, was) for name, was in CAR],
    "zero rows": [(name, []) for name, _ in CAR],
    "a deep value": changed("wt", "2.6", "[" * DEEP + "]" * DEEP),
    "half a surrogate": changed("cyl", '"6"', r'"\ud800"'),
    "a number without end": changed("wt", "2.6", "1" * 5000),
}
RAW: dict[str, bytes] = {
    "nothing": b"",
    "half of a document": b'{"rows": [',
    "deep arrays": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "no UTF-8": b'{"rows": [{"wt": 1, "hp": 2, "cyl": "\xe9"}]}',
    "UTF-16": '{"rows": []}'.encode("utf-16"),
    "a number": b"1",
    "null": b"null",
    "a million of nothing": b"[" + b"1," * 900_000 + b"1]",
    "a million names": b'{"inputs": [' + b"{}," * 600_000 + b"{}]}",
    "a byte order mark alone": b"\xef\xbb\xbf",
}


def ask(server: Tandem, way: Way, body: bytes, model: str = "mpg", **headers: str) -> httpx.Response:
    version = server.model(model)["version"] if "{version}" in way.path else ""
    return post(server, way.path.format(model=model, version=version), body, headers=JSON | headers)


def refused(way: Way, reply: httpx.Response, about: str) -> None:
    assert 400 <= reply.status_code < 500, (about, reply.status_code, reply.text[:300])
    assert told(way, reply)
    said = code(reply)
    assert said in ("bad_body", "invalid_input", "body_too_large"), (about, said)
    if said != "body_too_large":
        assert reply.status_code == way.status(said), (about, said)


@pytest.mark.parametrize("name", WAYS)
def test_bad_input_is_the_dialects_own_refusal_and_nobody_elses(server: Tandem, name: str) -> None:
    way = WAYS[name]
    good = ask(server, way, way.body(CAR))
    assert good.status_code == 200, good.text

    def one(kind: str) -> tuple[str, httpx.Response]:
        body = way.body(BAD[kind]) if kind in BAD else RAW[kind] if kind in RAW else way.body(CAR)
        return kind, ask(server, way, body)

    kinds = [one for kind in (*BAD, *RAW) for one in (kind, "good")]
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(one, kinds))
    for kind, reply in replies:
        if kind == "good":
            assert (reply.status_code, reply.content) == (200, good.content)
        else:
            refused(way, reply, kind)


@pytest.mark.parametrize("name", WAYS)
def test_a_whole_number_that_must_be_there_is_no_nan(server: Tandem, name: str) -> None:
    way = WAYS[name]
    for value in ("NaN", '"NaN"', "null", "2.5"):
        reply = ask(server, way, way.body([("n", [value])]), "whole")
        refused(way, reply, value)
    assert ask(server, way, way.body([("n", ["3"])]), "whole").status_code == 200


@pytest.mark.parametrize("name", WAYS)
def test_an_id_of_101_characters(server: Tandem, name: str) -> None:
    way = WAYS[name]
    reply = ask(server, way, way.body(CAR), **{"x-request-id": "x" * 101})
    if way.dialect == "azureml":
        assert reply.status_code == 431
    else:
        assert (reply.status_code, len(reply.headers["x-request-id"]) < 101) == (200, True)


def binary(server: Tandem, tensors: list[dict[str, Any]], blob: bytes, length: int | None = None) -> httpx.Response:
    head = orjson.dumps({"inputs": tensors})
    headers = {"inference-header-content-length": str(len(head) if length is None else length)}
    return post(server, "/v2/models/mpg/infer", head + blob, headers=headers)


def tensor(name: str, datatype: str, shape: list[Any], size: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def three(**changes: Any) -> list[dict[str, Any]]:
    wt = {"name": "wt", "datatype": "FP64", "shape": [1], "size": 8} | changes
    return [tensor(**wt), tensor("hp", "FP64", [1], 8), tensor("cyl", "BYTES", [1], 5)]


DOUBLES = bytes(16)
LEVEL = b"\x01\x00\x00\x004"
LIES: dict[str, tuple[list[dict[str, Any]], bytes, int | None]] = {
    "more bytes than are there": (three(size=1 << 40), DOUBLES + LEVEL, None),
    "fewer bytes than are there": (three(), DOUBLES + LEVEL + b"x", None),
    "no bytes": (three(), b"", None),
    "a size below zero": (three(size=-8), DOUBLES + LEVEL, None),
    "a size that is none": (three(size="8"), DOUBLES + LEVEL, None),
    "a shape that does not multiply": (three(shape=[2]), DOUBLES + LEVEL, None),
    "a shape without end": (three(shape=[1 << 62, 4]), DOUBLES + LEVEL, None),
    "a shape below zero": (three(shape=[-1]), DOUBLES + LEVEL, None),
    "a shape that is none": (three(shape=["1"]), DOUBLES + LEVEL, None),
    "an unknown datatype": (three(datatype="FP128"), DOUBLES + LEVEL, None),
    "a text past the end": (three(), DOUBLES + b"\xff\xff\xff\xff4", None),
    "half of a text's length": (three(), DOUBLES + b"\x01\x00\x00\x00\x00", None),
    "a text that is no UTF-8": (three(), DOUBLES + b"\x01\x00\x00\x00\xe9", None),
    "a head longer than the body": (three(), DOUBLES + LEVEL, 100_000),
    "a head of nothing": (three(), DOUBLES + LEVEL, 0),
    "a head that is cut": (three(), DOUBLES + LEVEL, 20),
}


def test_lengths_that_lie_are_400_and_nobody_elses_failure(server: Tandem) -> None:
    way = WAYS["open_inference"]
    good = three(), DOUBLES + LEVEL, None
    expected = native(server, "mpg", [{"wt": 0, "hp": 0, "cyl": "4"}])
    with ThreadPoolExecutor(6) as pool:
        asked = [one for lie in LIES.values() for one in (lie, good)]
        replies = list(pool.map(lambda one: binary(server, *one), asked))
    for about, reply in zip(LIES, replies[::2], strict=True):
        refused(way, reply, about)
    for reply in replies[1::2]:
        assert (reply.status_code, reply.json()["outputs"][0]["data"]) == (200, expected)


def test_a_hundred_thousand_tensors_are_refused(server: Tandem) -> None:
    tensors = ",".join(f'{{"name":"c{i}","shape":[1],"datatype":"BOOL","data":[true]}}' for i in range(30_000))
    refused(WAYS["open_inference"], ask(server, WAYS["open_inference"], b'{"inputs":[%b]}' % tensors.encode()), "many")


# What a dialect cannot carry


def dated(day: str = '"2026-01-01"', weekend: str = "true") -> list[Column]:
    return [("day", [day]), ("weekend", [weekend]), ("count", ["2"])]


CANNOT: dict[str, tuple[str, list[Column], str]] = {
    "a number is no day": ("dated", dated(day="1767225600000"), "day"),
    "a moment is no day": ("dated", dated(day='"2026-01-01T10:00:00"'), "day"),
    "a text is no yes or no": ("dated", dated(weekend='"yes"'), "weekend"),
    "two is no yes or no": ("dated", dated(weekend="2"), "weekend"),
    "what Python calls nothing": ("mpg", changed("cyl", '"None"', '"4"'), "cyl"),
    "infinity is no whole number": ("whole", [("n", ['"Inf"'])], "n"),
    "a whole number that is too large": ("whole", [("n", ["2147483648"])], "n"),
    "a text is no picture": ("digits", [("image", ['"no picture"'])], "image"),
}


@pytest.mark.parametrize("name", WAYS)
def test_what_a_dialect_cannot_carry_is_refused_and_never_changed_in_silence(server: Tandem, name: str) -> None:
    way = WAYS[name]
    for about, (model, columns, column) in CANNOT.items():
        if way.dialect == "vetiver" and about == "a number is no day":
            continue  # pandas writes days so
        reply = ask(server, way, way.body(columns), model)
        refused(way, reply, about)
        assert column in reply.text, (about, reply.text)


@pytest.mark.parametrize(
    ("column", "datatype", "values"),
    [
        ("wt", "BYTES", ["2.6"]),
        ("cyl", "FP64", [4.0]),
        ("cyl", "INT32", [4]),
        ("wt", "BOOL", [True]),
        ("wt", "UINT64", [2**53 + 1]),
        ("wt", "INT8", [300]),
        ("wt", "FP64", [[[2.6]]]),
        ("wt", "FP64", ["2.6"]),
        ("wt", "INT32", [2.5]),
    ],
)
def test_a_tensor_of_another_type_than_its_column_is_refused(
    server: Tandem, column: str, datatype: str, values: list[Any]
) -> None:
    tensors = [
        {"name": "wt", "shape": [1], "datatype": "FP64", "data": [2.6]},
        {"name": "hp", "shape": [1], "datatype": "FP64", "data": [110]},
        {"name": "cyl", "shape": [1], "datatype": "BYTES", "data": ["4"]},
    ]
    others = [one for one in tensors if one["name"] != column]
    wrong = {"name": column, "shape": [1], "datatype": datatype, "data": values}
    way = WAYS["open_inference"]
    reply = ask(server, way, orjson.dumps({"inputs": [wrong, *others]}))
    refused(way, reply, datatype)
    assert column in reply.json()["error"]


def test_what_no_csv_can_say_is_refused(server: Tandem) -> None:
    path = "/endpoints/{}/invocations"
    for model, body in {
        "digits": b"image\nno picture\n",
        "mpg": b"wt;hp;cyl\n2,6;110;6\n",
        "whole": b"n\nNaN\n",
        "dated": b"day,weekend,count\n1767225600000,TRUE,2\n",
    }.items():
        reply = post(server, path.format(model), body, headers={"content-type": "text/csv"})
        assert reply.status_code in (400, 415), (model, reply.text)
        assert isinstance(reply.json()["message"], str)
