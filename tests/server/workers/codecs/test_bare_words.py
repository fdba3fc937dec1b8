"""JSON with bare words: read leniently, and in nothing else than that."""

from __future__ import annotations

import pytest

from server.workers.codecs.bare_words import document
from server.workers.errors import BadBody


def test_bare_words_are_read_beside_whole_characters() -> None:
    assert document(rb'{"a": [NaN, Infinity, 1], "b": "\ud83d\ude00\u00e9"}')["b"] == "\U0001f600\u00e9"


@pytest.mark.parametrize(
    "body",
    [
        rb'{"a": "\ud800"}',
        rb'{"a": NaN, "b": "\udc00"}',
        rb'{"\ud800": NaN}',
        '{"a": NaN}'.encode("utf-16"),
        '{"a": NaN}'.encode("utf-32"),
        b'\xef\xbb\xbf{"a": NaN}',
        b'{"a": NaN, "b": "\xe9"}',
        b"[" * 100_000,
    ],
)
def test_half_a_character_and_other_encodings_are_no_json(body: bytes) -> None:
    with pytest.raises(BadBody, match="not JSON"):
        document(body)
