"""Duplicate questions: reading an FAQ page or plain files, and dealing the duplicates out into folds.

The FAQ page is Markdown and explains its own form (python_models/faq/faq.md); the plain files are described in
`faq.py --help`.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_HEADING = re.compile(r"### (Q\d+)\. (.+)")
_SHARED = re.compile(r"Same answer as \[(Q\d+)\]\(#.+\)\.")
_ALSO = "Also asked as:"


class DataError(Exception):
    """A file cannot be used; the text says where and what was expected. The cure is to correct the file."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the id of its answer."""

    id: str
    answer_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Faq:
    """Original questions, other ways in which they were asked, and the answers by id, as far as they are known."""

    originals: tuple[Question, ...]
    duplicates: tuple[Question, ...]
    answers: dict[str, str]


def read_page(path: Path) -> Faq:
    """The FAQ in a Markdown page. Raises DataError."""
    originals: list[Question] = []
    duplicates: list[Question] = []
    answers: dict[str, str] = {}
    for id, text, answer, also in _sections(path):
        shared = _SHARED.fullmatch(answer)
        answer_id = f"A{(shared[1] if shared else id)[1:]}"
        if not shared:
            answers[answer_id] = answer
        originals.append(Question(id, answer_id, text))
        duplicates += [Question(f"{id}.{n}", answer_id, line) for n, line in enumerate(also, 1)]
    for question in originals:
        if question.answer_id not in answers:
            raise DataError(f"{path.name}: {question.id} refers to an answer {question.answer_id} that is not there")
    return _checked(Faq(tuple(originals), tuple(duplicates), answers))


def _sections(path: Path) -> Iterator[tuple[str, str, str, list[str]]]:
    """Each question of a page: its id, its text, its answer as one line of Markdown, the other ways to ask it."""
    for part in re.split(r"^(?=#)", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        heading, _, body = part.partition("\n")
        if not heading.startswith("### "):
            continue
        named = _HEADING.fullmatch(heading)
        answer, found, also = body.partition(f"\n{_ALSO}\n")
        lines = also.split("\n")
        strange = [line for line in lines if line and not line.startswith("- ")]
        if named is None or not answer.strip() or not found or strange:
            expected = f'"### Q1. A question?", its answer, "{_ALSO}" and a list of one line each'
            raise DataError(f'{path.name}: at "{heading}" the page does not have the form {expected}')
        yield named[1], named[2], " ".join(answer.split()), [line[2:].strip() for line in lines if line]


def read_files(originals: Path, duplicates: Path, answers: Path | None) -> Faq:
    """The FAQ in plain files. Raises DataError."""
    known = {}
    if answers is not None:
        known = {row["answer_id"]: row["text"] for row in _rows(answers, ("answer_id", "text"))}
    return _checked(Faq(_questions(originals), _questions(duplicates), known))


def _questions(path: Path) -> tuple[Question, ...]:
    return tuple(Question(**row) for row in _rows(path, ("id", "answer_id", "text")))


def _rows(path: Path, names: Sequence[str]) -> Iterator[dict[str, str]]:
    """The fields `names` of each row, as text: JSON lines where the file's name says so, else tabs and a header."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = map(_json, file) if path.suffix == ".jsonl" else csv.DictReader(file, delimiter="\t", quoting=3)
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict) or any(not isinstance(row.get(name), str | int) for name in names):
                raise DataError(f"{path.name}: row {number} lacks one of {', '.join(names)}")
            yield {name: str(row[name]).strip() for name in names}


def _json(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _checked(faq: Faq) -> Faq:
    """The same, without duplicates that repeat a text: none may be learnt from and tested on. Raises DataError."""
    given = Counter(q.id for q in (*faq.originals, *faq.duplicates))
    twice = [id for id, times in given.items() if times > 1]
    if twice:
        raise DataError(f"the id {twice[0]} is given twice")
    known = {q.answer_id for q in faq.originals}
    seen = {_plain(q.text) for q in faq.originals}
    kept = []
    for question in faq.duplicates:
        if question.answer_id not in known:
            raise DataError(f"the duplicate {question.id} has the answer {question.answer_id}, which no original has")
        if _plain(question.text) not in seen:
            kept.append(question)
        seen.add(_plain(question.text))
    if len(faq.originals) < 2 or len(kept) < 2:
        raise DataError("there must be at least two originals and two duplicates that differ from them")
    return Faq(faq.originals, tuple(kept), faq.answers)


def _plain(text: str) -> str:
    """What makes two texts the same: their words, whatever their case and whatever stands between them."""
    return " ".join(re.findall(r"\w+", text.lower()))


def folds(duplicates: Sequence[Question], count: int, seed: int) -> list[list[Question]]:
    """Deal the duplicates out, each answer's as evenly as can be, in an order drawn from `seed`."""
    shuffled = random.Random(seed).sample(duplicates, len(duplicates))
    shuffled.sort(key=lambda question: question.answer_id)  # keeps the drawn order within an answer
    return [shuffled[i::count] for i in range(count)]
