import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.key_text import has_key, looks_like_key, new_key, read_key

SCANNERS = re.compile(r"tdm_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}")


def test_a_key_is_of_the_shape_that_scanners_look_for_and_is_read_again() -> None:
    made = [new_key() for _ in range(200)]
    assert all(SCANNERS.fullmatch(key.text) and read_key(key.text.encode()) == key for key in made)
    assert len({key.id for key in made}) == len({key.text for key in made}) == 200


def test_what_is_kept_of_a_key_is_its_sha_256() -> None:
    key = new_key()
    assert key.digest == hashlib.sha256(key.text.encode()).digest()


def test_a_key_with_one_character_changed_is_none() -> None:
    text = new_key().text
    for at, was in enumerate(text):
        other = "0" if was != "0" else "1"
        assert read_key((text[:at] + other + text[at + 1 :]).encode()) is None


@pytest.mark.parametrize("around", ["{} ", " {}", "{}\n", "{}x", "\ufeff{}", "{}{}", "TDM_{}"])
def test_a_key_with_anything_around_it_is_none(around: str) -> None:
    text = new_key().text
    assert read_key(around.format(text, text).encode()) is None


@given(st.binary(max_size=80))
def test_whatever_is_shown_as_a_key_is_read_or_refused(raw: bytes) -> None:
    assert read_key(raw) is None
    assert read_key(b"tdm_" + raw) is None


def test_what_is_meant_as_a_key_is_seen() -> None:
    text = new_key().text.encode()
    assert looks_like_key(text) and looks_like_key(b"tdm_short") and not looks_like_key(b"eyJ" + text)
    assert has_key(b"a=1&key=" + text + b"&b=2") and not has_key(b"tdm_short") and not has_key(b"")
