"""The example `faq`: the page that is its data, how it is judged, and what its scoring script answers."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.tandem import ROOT, Tandem

TRAIN = ROOT / "python_models" / "train"
SCRIPT = ROOT / "python_models" / "faq"


def imported(folder: Path, name: str) -> ModuleType:
    """A module of a folder that is no package."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


data = imported(TRAIN, "faq_data")
faq = imported(TRAIN, "faq")
featurize = imported(SCRIPT, "featurize")
PAGE = data.read_page(faq.PAGE)


# The page


def test_the_page_has_many_questions_each_asked_in_many_ways() -> None:
    ways = Counter(q.id.partition(".")[0] for q in PAGE.duplicates)
    assert len(PAGE.originals) >= 60
    assert min(ways[q.id] for q in PAGE.originals) >= 4


def test_questions_are_numbered_in_order_and_some_share_an_answer() -> None:
    assert [q.id for q in PAGE.originals] == [f"Q{n}" for n in range(1, len(PAGE.originals) + 1)]
    assert len(PAGE.answers) < len(PAGE.originals)


def test_links_of_the_page_lead_somewhere() -> None:
    text = faq.PAGE.read_text()
    for file, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", text):
        linked = (faq.PAGE.parent / file).read_text() if file else text
        headings = re.findall(r"^#+ (.+)$", linked, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, (file, anchor)


@pytest.mark.parametrize(
    "page",
    [
        "### Q1. One?\n\nAn answer.\n",
        "### Q1. One?\n\n\nAlso asked as:\n\n- uno\n",
        "### One?\n\nAn answer.\n\nAlso asked as:\n\n- uno\n",
        "### Q1. One?\n\nAn answer.\n\nAlso asked as:\n\n- uno\nand more\n",
        "### Q1. One?\n\nSame answer as [Q9](#q9).\n\nAlso asked as:\n\n- uno\n",
    ],
)
def test_a_page_of_another_form_is_refused_and_the_place_is_named(page: str, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(page)
    with pytest.raises(data.DataError, match=r"page\.md: .*One\?|page\.md: Q1"):
        data.read_page(path)


# Files

ORIGINALS = [("1", "a", "How do I open the door?"), ("2", "b", "Where is the light?"), ("3", "a", "Door is shut?")]
DUPLICATES = [("4", "a", "open a shut door"), ("5", "b", "is there a lamp"), ("6", "b", "WHERE is the light")]
ANSWERS = [("a", "Push it.")]


def tsv(path: Path, names: list[str], rows: list[tuple[str, ...]]) -> Path:
    path.write_text("".join("\t".join(row) + "\n" for row in [tuple(names), *rows]))
    return path


def jsonl(path: Path, names: list[str], rows: list[tuple[str, ...]]) -> Path:
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("write", "ending"), [(tsv, "tsv"), (jsonl, "jsonl")])
def test_files_are_read_and_duplicates_that_repeat_a_text_are_left_out(
    write: Callable[..., Path], ending: str, tmp_path: Path
) -> None:
    names = ["id", "answer_id", "text"]
    originals = write(tmp_path / f"o.{ending}", names, ORIGINALS)
    duplicates = write(tmp_path / f"d.{ending}", names, DUPLICATES)
    read = data.read_files(originals, duplicates, write(tmp_path / f"a.{ending}", ["answer_id", "text"], ANSWERS))
    assert [(q.id, q.answer_id, q.text) for q in read.originals] == ORIGINALS
    assert [(q.id, q.answer_id, q.text) for q in read.duplicates] == DUPLICATES[:2]
    assert read.answers == dict(ANSWERS)


@pytest.mark.parametrize(
    ("duplicates", "names", "said"),
    [
        (DUPLICATES, ["id", "answer", "text"], "d.tsv: row 1 lacks one of id, answer_id, text"),
        ([("9", "z", "x"), *DUPLICATES], None, "the duplicate 9 has the answer z, which no original has"),
        ([("1", "a", "x"), *DUPLICATES[:2]], None, "the id 1 is given twice"),
        (DUPLICATES[2:], None, "at least two originals and two duplicates"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_the_reason(
    duplicates: list[tuple[str, ...]], names: list[str] | None, said: str, tmp_path: Path
) -> None:
    known = ["id", "answer_id", "text"]
    originals = tsv(tmp_path / "o.tsv", known, ORIGINALS)
    with pytest.raises(data.DataError, match=re.escape(said)):
        data.read_files(originals, tsv(tmp_path / "d.tsv", names or known, duplicates), None)


# Judging

answer_ids = st.lists(st.sampled_from("abcdef"), min_size=4, max_size=60)


@given(answer_ids, st.integers(2, 5), st.integers(0, 1000))
def test_each_duplicate_is_in_one_fold_and_each_answers_are_spread_evenly(
    ids: list[str], count: int, seed: int
) -> None:
    duplicates = [data.Question(str(n), answer_id, f"text {n}") for n, answer_id in enumerate(ids)]
    dealt = data.folds(duplicates, count, seed)
    assert sorted(q.id for fold in dealt for q in fold) == sorted(q.id for q in duplicates)
    assert dealt == data.folds(duplicates, count, seed)
    for answer_id in set(ids):
        sizes = [sum(q.answer_id == answer_id for q in fold) for fold in dealt]
        assert max(sizes) - min(sizes) <= 1


def test_no_held_out_question_repeats_one_that_was_trained_on() -> None:
    texts = [re.sub(r"\W+", " ", q.text.lower()).strip() for q in (*PAGE.originals, *PAGE.duplicates)]
    assert len(set(texts)) == len(texts)


def test_metrics_are_those_computed_by_hand() -> None:
    scores = np.array([[0.9, 0.5, 0.7, 0.1, 0.0, 0.2], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])
    right = np.array([[False, True, True, False, False, False], [True, False, False, False, False, False]])
    first = [1 / 2, (1 / 2 + 2 / 3) / 2, 0, 2 / 5, 1]
    last = [1 / 6, 1 / 6, 0, 0, 0]
    np.testing.assert_allclose(faq.measured(scores, right), [first, last])


def test_a_perfect_search_is_measured_as_perfect() -> None:
    right = faq.matches(PAGE, PAGE.duplicates)
    mrr, mean_precision, first, _, within_5 = faq.measured(right.astype(float), right).mean(axis=0)
    assert (mrr, mean_precision, first, within_5) == (1, 1, 1, 1)


def test_on_questions_not_seen_the_model_is_better_than_plain_search() -> None:
    figures = {name: dict(zip(faq.METRICS, means, strict=True)) for name, means in faq.evaluated(PAGE, 3, 1).items()}
    model, originals, known = (figures[name] for name in faq.METHODS)
    assert model["P@1"] > 0.68
    assert model["Hit@5"] > 0.85
    for metric in faq.METRICS:
        assert model[metric] > known[metric] > originals[metric]


# Features


@pytest.fixture(scope="module")
def features() -> Any:
    texts = [q.text for q in PAGE.originals]
    answers = [PAGE.answers[q.answer_id] for q in PAGE.originals]
    pairs = featurize.PairFeatures(texts, answers)
    return pairs.fit([q.text for q in PAGE.duplicates], faq.matches(PAGE, PAGE.duplicates).ravel())


def test_questions_have_the_same_features_together_and_alone(features: Any) -> None:
    questions = [q.text for q in PAGE.duplicates[:300]] + ["", "zzz qqq", "how?"]
    together = features.transform(questions).reshape(len(questions), len(PAGE.originals), -1)
    for n in (0, 1, 254, 255, 256, 257, 300, 301, 302):
        np.testing.assert_array_equal(features.transform([questions[n]]), together[n])


def test_features_are_finite_and_likenesses_lie_between_0_and_1(features: Any) -> None:
    values = features.transform([q.text for q in PAGE.duplicates] + ["", "\u0000", "é" * 1000])
    assert np.isfinite(values).all()
    likenesses = values[:, : values.shape[1] // 2]
    assert likenesses.min() >= 0
    assert likenesses.max() <= 1 + 1e-12


def test_while_training_no_question_sees_itself() -> None:
    """What is learnt of a question must be what would be seen of it, were it not known."""
    questions = ["open a shut door", "is there a lamp", "the door will not open"]
    matches = np.array([[True, False], [False, True], [True, False]])
    pairs = featurize.PairFeatures(["How do I open the door?", "Where is the light?"], ["Push it.", ""])
    trained = pairs.fit_transform(questions, matches.ravel()).reshape(3, 2, -1)
    asked = pairs.transform(questions).reshape(3, 2, -1)
    nearest = 1
    assert asked[1, 1, nearest] == pytest.approx(1)
    assert trained[1, 1, nearest] == trained[1, 1, 0] < 0.5  # only the original is left to be like
    np.testing.assert_array_equal(trained[~matches][:, nearest], asked[~matches][:, nearest])


# Command and script


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script's folder with a model that was trained into it by the command."""
    folder = tmp_path_factory.mktemp("models") / "faq"
    shutil.copytree(SCRIPT, folder, ignore=shutil.ignore_patterns("*.joblib", "__pycache__"))
    program = [sys.executable, "-W", "error", str(TRAIN / "faq.py"), "train", "--out", str(folder / "model.joblib")]
    subprocess.run(program, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def script(trained: Path) -> Iterator[Any]:
    """score.py as a server would have it: AZUREML_MODEL_DIR set, init() called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZUREML_MODEL_DIR", str(trained))
        spec = importlib.util.spec_from_file_location("faq_score", trained / "score.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.init()
        yield module


def test_matches_come_sorted_with_ids_probabilities_and_answers(script: Any) -> None:
    matches = script.run('{"question": "How do I stop the server?", "top": 3}')
    assert [m["probability"] for m in matches] == sorted((m["probability"] for m in matches), reverse=True)
    assert len(matches) == 3
    assert set(matches[0]) == {"question_id", "answer_id", "probability", "question", "answer"}
    assert (matches[0]["question"], matches[0]["probability"] > 0.9) == ("How do I stop the server?", True)
    assert "SIGTERM" in matches[0]["answer"]
    json.dumps(matches, allow_nan=False)


def test_probabilities_are_those_of_the_pipeline(script: Any) -> None:
    question = "forgot my pasword"
    direct = script.model["pipeline"].predict_proba([question])[:, 1]
    served = script.run(json.dumps({"question": question, "top": 1000}))
    assert {m["question_id"]: m["probability"] for m in served} == {
        q.id: p for q, p in zip(PAGE.originals, direct, strict=True)
    }


def test_five_matches_come_where_no_number_is_given(script: Any) -> None:
    assert len(script.run('{"question": "licence"}')) == 5


def test_a_question_of_unknown_words_only_is_answered_with_small_probabilities(script: Any) -> None:
    assert script.run('{"question": "qqq zzz"}')[0]["probability"] < 0.2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "the body is not JSON"),
        ("[" * 100_000, "the body is not JSON"),
        ("[1]", "the body must be an object"),
        ('{"top": 1}', "the body must be an object"),
        ('{"question": "a", "n": 1}', "the body must be an object"),
        ('{"question": 5}', '"question" must be a text'),
        ('{"question": " "}', '"question" must be a text'),
        (json.dumps({"question": "a" * 1001}), '"question" must be a text'),
        ('{"question": "a", "top": 0}', '"top" must be a whole number'),
        ('{"question": "a", "top": true}', '"top" must be a whole number'),
        ('{"question": "a", "top": 1.5}', '"top" must be a whole number'),
    ],
)
def test_a_bad_body_is_answered_with_what_is_wrong(script: Any, body: str, said: str) -> None:
    assert script.run(body)["error"].startswith(said)


def test_without_a_model_the_script_says_how_to_make_one(script: Any, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
        with pytest.raises(FileNotFoundError, match=r"faq\.py train"):
            script.init()


def test_training_leaves_nothing_but_the_model_in_the_scripts_folder(trained: Path) -> None:
    """Every file in the folder counts as part of the model, but for what Python keeps of modules that were imported."""
    left = {p.name for p in trained.iterdir()} - {"__pycache__"}
    assert left == {p.name for p in SCRIPT.iterdir()} - {"__pycache__"} | {"model.joblib"}


def test_the_command_trains_and_evaluates_on_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["id", "answer_id", "text"]
    duplicates = [*DUPLICATES[:2], ("7", "a", "the door will not open"), ("8", "b", "light switch where")]
    files = ["--originals", str(tsv(tmp_path / "o.tsv", names, ORIGINALS))]
    files += ["--duplicates", str(jsonl(tmp_path / "d.jsonl", names, duplicates))]
    assert faq.main(["train", *files, "--out", str(tmp_path / "model.joblib")]) == 0
    assert (tmp_path / "model.joblib").exists()
    assert faq.main(["evaluate", *files, "--folds", "2"]) == 0
    told = capsys.readouterr().out
    assert "3 originals, 4 duplicates, 0 answers; 2 folds, seed 1" in told
    assert all(f"| {name}" in told for name in faq.METHODS)


def test_the_command_says_what_is_wrong_with_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert faq.main(["evaluate", "--originals", str(tmp_path / "none"), "--duplicates", str(tmp_path / "none")]) == 1
    assert "No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        faq.main(["evaluate", "--originals", "x"])


def test_a_server_answers_as_the_script_does(script: Any, trained: Path, tandem_factory: Callable[..., Tandem]) -> None:
    tandem = tandem_factory()
    shutil.copytree(trained, tandem.python_models / "faq")
    tandem.start()
    body = {"question": "where do i find the admin pasword", "top": 2}
    reply = tandem.score("faq", body)
    assert reply.status_code == 200, tandem.get("/v1/models/faq").text
    assert reply.json() == script.run(json.dumps(body))
    assert reply.json()[0]["question_id"] == "Q62"
