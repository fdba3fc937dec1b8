"""Paths in others' words: the file is told, its folder is not, and nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.paths import without_folders


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("No such file or directory: '/srv/models/churn/levels.csv'", "No such file or directory: 'levels.csv'"),
        (
            "cannot import name 'x' from 'y' (/opt/venv/lib/y/__init__.py)",
            "cannot import name 'x' from 'y' (__init__.py)",
        ),
        ("/a/b and ~/c/d and ../e/f", "b and d and f"),
        ("/tmp", "/tmp"),
        ("in m/s and/or km/h, 1/2/3", "in m/s and/or km/h, 1/2/3"),
        ("see https://example.org/a/b/c", "see https://example.org/a/b/c"),
    ],
)
def test_a_path_is_cut_down_to_its_last_part(said: str, told: str) -> None:
    assert without_folders(said) == told


@given(st.lists(st.text("abcxyz._-", min_size=1), min_size=2, max_size=5))
def test_no_folder_of_an_absolute_path_is_left(parts: list[str]) -> None:
    assert without_folders("at '/" + "/".join(parts) + "'") == f"at '{parts[-1]}'"
