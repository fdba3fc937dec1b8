"""The pages can be read where they are read: in a terminal, in a diff, beside the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.tandem import ROOT

MEASURED = Path("benchmarks/results")
"""Pages that a benchmark writes and nobody edits: they stay as they were measured."""
LONGEST_LINE = 120


def pages(folder: Path = ROOT) -> Iterator[Path]:
    """Every page below a folder, by its path from the root; folders that a dot hides hold what others have made."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path.relative_to(ROOT) != MEASURED:
            yield from pages(path)
        elif path.suffix == ".md":
            yield path.relative_to(ROOT)


@pytest.mark.parametrize("page", list(pages()), ids=str)
def test_no_line_of_a_page_is_longer_than_a_terminal_shows(page: Path) -> None:
    lines = (ROOT / page).read_text().splitlines()
    assert [(n, line) for n, line in enumerate(lines, 1) if len(line) > LONGEST_LINE] == []


# What the pages for contributors name

FOR_CONTRIBUTORS = [Path("CONTRIBUTING.md"), Path("docs/architecture.md"), Path("docs/style.md")]
FILE = re.compile(r"[\w.*-]+(?:/[\w.*-]+)*(?:\.(?:py|R|md|toml|sh|yaml|in|lock)|/)|[\w.-]+(?:/[\w.-]+)+|Makefile")
TO_BE_MADE = re.compile(r"\b(?:test-|test_)?(?:CLASS|FORM|KIND|THING)\b.*")
"""A file that the reader makes: its folder has to be there."""


def named(page: Path) -> set[str]:
    """What stands between backquotes, where it is one word."""
    return {" ".join(name.split()) for name in re.findall(r"`([^`]+)`", without_fences(page))}


def without_fences(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def files() -> set[str]:
    """Every file and folder of ours, each from the root and by every shorter end of its path."""
    folders = (
        "auth",
        "benchmarks",
        "docker",
        "docs",
        "k8s",
        "mlops",
        "python_models",
        "r_models",
        "scripts",
        "server",
        "tests",
    )
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")] + list(ROOT.glob("*"))
    found += [ROOT / folder for folder in folders]
    parts = [path.relative_to(ROOT).parts for path in found if "__pycache__" not in path.parts]
    return {"/".join(part[at:]) for part in parts for at in range(len(part))}


@pytest.mark.parametrize("page", FOR_CONTRIBUTORS, ids=str)
def test_every_path_that_a_page_for_contributors_names_exists(page: Path, files: set[str]) -> None:
    paths = {TO_BE_MADE.sub("", name).rstrip("/") for name in named(page) if FILE.fullmatch(name)}
    assert len(paths) >= 5
    assert paths - files - {""} == set()


@pytest.mark.parametrize("page", FOR_CONTRIBUTORS, ids=str)
def test_every_test_that_a_page_for_contributors_names_exists(page: Path) -> None:
    tests = {name for name in named(page) if re.fullmatch(r"test_\w+", name)} - {"test_one_bad_row_fails_one_request"}
    source = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name for name in tests if f"def {name}(" not in source} == set()
    assert page != FOR_CONTRIBUTORS[0] or len(tests) >= 8


def test_every_test_that_the_page_of_threats_names_is_there() -> None:
    source, missing, seen = "", [], 0
    for word in re.findall(r"`([^`]+)`", (ROOT / "docs/threats.md").read_text()):
        if word.startswith("tests/"):
            source = (ROOT / word).read_text()
        elif word.startswith("test_"):
            seen += 1
            missing += [word] if f"def {word}(" not in source else []
    assert missing == []
    assert seen > 40
