"""Decoders may return, or raise the error that they document; nothing else, whatever they are given.

`FUZZ_EXAMPLES` says how much is tried. What breaks one is put into `corpus/`, and mended as a kind.
"""

from __future__ import annotations

import re
import resource
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from server.wire.frames import (
    BodyFormat,
    Encoding,
    FrameDecoder,
    WireError,
    decode_changed,
    decode_reply,
    decode_score,
)
from server.wire.models import ImageSettings
from server.wire.schema import Input, Option, Output, Schema
from server.workers.codecs import Question, json_pieces
from server.workers.codecs.registry import codec
from server.workers.errors import BadBody, Invalid, TooLarge
from server.workers.inflate import inflated
from server.workers.options import asked
from server.workers.table import to_columns
from server.workers.torch.images import Unfit, pixels
from tests.attack.mutation import files, fuzzed, inputs, kept

INPUTS = (
    Input("n", "numeric", missing="na"),
    Input("i", "integer", missing="na"),
    Input("l", "logical", missing="na"),
    Input("s", "string", missing="na"),
    Input("f", "factor", ("4", "6"), missing="na", new_level="na"),
    Input("d", "date", missing="na"),
    Input("t", "datetime", missing="na"),
)
"""One of each type, each of which may be missing, so that nothing is refused before its cells are looked at."""
OUTPUTS = (Output("response", "number"), Output("both", "columns"))
SCHEMA = Schema(INPUTS, OUTPUTS, (Option("times", "numeric", minimum=1), Option("loud", "logical")))
IMAGES = ImageSettings((6, 4), None, "rgb", 1 / 255, None, None, 1_000_000)
CAP = 1 << 20
MAX_GROWTH_KIB = 400_000


def read(body: bytes, body_format: int) -> None:
    """All that a worker does with a body before its model sees it."""
    question = codec(body_format).decode(body, SCHEMA)
    asked(SCHEMA, question.output, question.options, b"")
    check(question)


def read_open_inference(data: bytes) -> None:
    """A first line has the length of the head, as the header would, or nothing."""
    length, _, body = data.partition(b"\n")
    parameters = length if re.fullmatch(rb"[0-9]{1,10}", length) else b""  # what the web process lets through
    question = codec(BodyFormat.OPEN_INFERENCE).decode(body, SCHEMA, parameters)
    for output in (question.output, *question.more):
        asked(SCHEMA, output, question.options, b"")
    check(question)


def check(question: Question) -> None:
    assert {len(column) for column in to_columns(SCHEMA, question.cells)} == {question.rows}


def read_in_pieces(body: bytes) -> None:
    question = json_pieces.decode(body, SCHEMA)  # as if it were large; None is always an answer
    if question is not None:
        check(question)


def inflate(body: bytes, encoding: Encoding) -> None:
    assert len(inflated(body, encoding, CAP)) <= CAP


def look(image: bytes) -> None:
    assert pixels(image, IMAGES).shape == (6, 4, 3)


def unframe(data: bytes) -> None:
    decoder = FrameDecoder(CAP)
    for at in range(0, len(data), 7):
        decoder.feed(data[at : at + 7])


@dataclass(frozen=True)
class Decoder:
    """What is fuzzed: with which corpus, and which errors it documents."""

    corpus: str
    decode: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]

    def accepts(self, data: bytes) -> bool:
        try:
            self.decode(data)
        except self.errors:
            return False
        return True


DECODERS = {
    "json": Decoder("json", partial(read, body_format=BodyFormat.JSON), (BadBody, Invalid)),
    "json in pieces": Decoder("json", read_in_pieces, (Invalid,)),
    "csv": Decoder("csv", partial(read, body_format=BodyFormat.CSV), (BadBody, Invalid)),
    "arrow": Decoder("arrow", partial(read, body_format=BodyFormat.ARROW), (BadBody, Invalid)),
    "open inference": Decoder("open_inference", read_open_inference, (BadBody, Invalid)),
    "kserve v1": Decoder("kserve_v1", partial(read, body_format=BodyFormat.KSERVE_V1), (BadBody, Invalid)),
    "mlflow": Decoder("mlflow", partial(read, body_format=BodyFormat.MLFLOW), (BadBody, Invalid)),
    "azureml": Decoder("azureml", partial(read, body_format=BodyFormat.AZUREML), (BadBody, Invalid)),
    "vetiver": Decoder("vetiver", partial(read, body_format=BodyFormat.VETIVER), (BadBody, Invalid)),
    "query": Decoder("query", lambda query: asked(SCHEMA, None, None, query), (Invalid,)),
    "gzip": Decoder("inflate", partial(inflate, encoding=Encoding.GZIP), (BadBody, TooLarge)),
    "zstd": Decoder("inflate", partial(inflate, encoding=Encoding.ZSTD), (BadBody, TooLarge)),
    "image": Decoder("image", look, (Unfit,)),
    "frames": Decoder("frames", unframe, (WireError,)),
    "score": Decoder("frames", decode_score, (WireError,)),
    "reply": Decoder("frames", decode_reply, (WireError,)),
    "changed": Decoder("frames", decode_changed, (WireError,)),
}
IN_JSON = [b"null", b"1e999", b"-0", b'"NaN"', b"[[", b"{}", b"\\ud800", b"\\u0000", b","]
BARE = [b"NaN", b"-Infinity", b"9007199254740993", b"[]", b'"n":']
WORDS: dict[str, list[bytes]] = {
    "json": [*IN_JSON, b'"rows":', b'"options":'],
    "open_inference": [
        *IN_JSON,
        *BARE,
        b'"binary_data_size":',
        b'"FP32"',
        b'"BYTES"',
        b'"shape":[-1]',
        b"\xff\xff\xff\xff",
    ],
    "kserve_v1": [*IN_JSON, *BARE, b'"instances":', b'"parameters":'],
    "mlflow": [*IN_JSON, *BARE, b'"inputs":', b'"params":', b'"columns":', b"T00:00:00"],
    "azureml": [*IN_JSON, *BARE, b'"data":', b'"df":', b'"input":', b'"columns":'],
    "vetiver": [*IN_JSON, *BARE, b'"NA"', b"86400000", b"99999999999999999"],
    "csv": [b'"', b'""', b",", b"\r", b"\n\n", b"NA", b"\0", b"\xef\xbb\xbf", b"0x1F", b"9" * 400, b"\xff"],
    "arrow": [b"\xff\xff\xff\xff", bytes(8), b"UTC", b"\x10\0\0\0\0\0\0\0"],
    "query": [b"&", b"=", b"%", b"%00", b"output=", b"times=", b"\xff"],
    "inflate": [b"\x1f\x8b", b"\x28\xb5\x2f\xfd"],
    "image": [b"IDAT", b"IEND", b"PLTE", b"tRNS", b"acTL", b"\xff\xd8", b"\xff\xe1", b"Exif\0\0"],
    "frames": [b"TD"],
}


@pytest.mark.parametrize(("kind", "data"), files(*WORDS))
def test_what_once_broke_a_decoder_or_was_meant_to_does_not(kind: str, data: bytes) -> None:
    for decoder in DECODERS.values():
        if decoder.corpus == kind:
            decoder.accepts(data)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_raises_nothing_but_its_own_error(name: str) -> None:
    decoder = DECODERS[name]
    assert any(map(decoder.accepts, kept(decoder.corpus))), "what is refused at its first byte tries nothing"

    @fuzzed(data=inputs(decoder.corpus, *WORDS[decoder.corpus]))
    def tried(data: bytes) -> None:
        decoder.accepts(data)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tried()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_GROWTH_KIB
