"""The example model `faq`: matches a question to the questions of an FAQ.

    python python_models/train/faq.py train       writes python_models/faq/model.joblib
    python python_models/train/faq.py evaluate    says how good it is on questions that it has not seen

Both take python_models/faq/faq.md, or any other set of duplicate questions, given as files:

    --originals FILE     the questions of the FAQ: id, answer_id, text
    --duplicates FILE    the same questions as others asked them: id, answer_id of the original, text
    --answers FILE       the answers, if there are any: answer_id, text

Such a file is UTF-8 text: tab-separated with a header line that names the columns and no quoting, or, if its name ends
in .jsonl, a JSON object a line. Originals that share an answer are equally right. A duplicate that repeats the words of
another question is left out. Memory: 20 doubles for each pair of a duplicate and an original.

`evaluate` deals the duplicates of each answer out into folds, trains on all folds but one, asks the questions of that
one, and so on in turn; the originals are known throughout. Beside the model stand two plain searches by the cosine of
TF-IDF vectors: to the originals, and to the originals and the duplicates that the model was trained on. The figures are
means over all duplicates, each asked once:

    MRR      1 / rank of the first right original
    MAP      mean, over the right originals, of the precision at the rank of each
    P@1      1 if the first original is right
    P@5      right ones among the first 5, divided by 5; at best 0.2 where one original is right
    Hit@5    1 if a right original is among the first 5
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "python_models" / "faq" / "model.joblib"
PAGE = MODEL.with_name("faq.md")

# A pickle names the modules of its classes, and the scoring script finds them by the name `featurize`: hence the path,
# before the import.
sys.path.insert(0, str(MODEL.parent))

from faq_data import DataError, Faq, Question, folds, read_files, read_page  # noqa: E402
from featurize import PairFeatures  # noqa: E402

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Search = Callable[[Sequence[str]], Array]
"""Gives each question (row) a score against each original (column)."""

METRICS = ("MRR", "MAP", "P@1", "P@5", "Hit@5")


def fitted(faq: Faq, duplicates: Sequence[Question]) -> Pipeline:
    """The model, trained on these duplicates."""
    originals = [q.text for q in faq.originals]
    answers = [faq.answers.get(q.answer_id, "") for q in faq.originals]
    pipeline = make_pipeline(PairFeatures(originals, answers), StandardScaler(), LogisticRegression(max_iter=1000))
    with threadpool_limits(1):  # faster for so few features, and the same bits on any number of cores
        return pipeline.fit([q.text for q in duplicates], matches(faq, duplicates).ravel())


def matches(faq: Faq, questions: Sequence[Question]) -> Flags:
    """Which original (column) is right for which question (row)."""
    answer_ids = np.array([q.answer_id for q in faq.originals])
    return np.array([q.answer_id == answer_ids for q in questions])


def by_model(faq: Faq, duplicates: Sequence[Question]) -> Search:
    """Scores are the model's probabilities."""
    pipeline = fitted(faq, duplicates)
    return lambda questions: pipeline.predict_proba(questions)[:, 1].reshape(len(questions), -1)


def by_originals(faq: Faq, duplicates: Sequence[Question]) -> Search:
    """Scores are cosines to the originals."""
    return _by_cosine(faq, ())


def by_nearest(faq: Faq, duplicates: Sequence[Question]) -> Search:
    """Scores are cosines to the nearest of an original and the duplicates of its answer."""
    return _by_cosine(faq, duplicates)


def _by_cosine(faq: Faq, duplicates: Sequence[Question]) -> Search:
    texts = [q.text for q in (*faq.originals, *duplicates)]
    tfidf = TfidfVectorizer().fit(texts)
    references = tfidf.transform(texts).T
    own = np.eye(len(faq.originals), dtype=bool)
    around = np.concatenate([own, matches(faq, duplicates)] if duplicates else [own])

    def search(questions: Sequence[str]) -> Array:
        cosines = (tfidf.transform(questions) @ references).toarray()
        return np.stack([cosines[:, group].max(axis=1) for group in around.T], axis=1)

    return search


METHODS = {"model": by_model, "cosine to originals": by_originals, "cosine to all known": by_nearest}


def measured(scores: Array, right: Flags) -> Array:
    """The METRICS of each question (row), from scores and flags of the same shape; every row has a right original."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(right, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.stack(
        [
            1 / (1 + hits.argmax(axis=1)),
            (precision * hits).sum(axis=1) / hits.sum(axis=1),
            precision[:, 0],
            hits[:, :5].sum(axis=1) / 5,
            hits[:, :5].any(axis=1),
        ],
        axis=1,
    )


def evaluated(faq: Faq, count: int, seed: int) -> dict[str, Array]:
    """The mean METRICS of each method, where each duplicate is asked of a model that has not seen it."""
    dealt = folds(faq.duplicates, count, seed)
    figures: dict[str, list[Array]] = {name: [] for name in METHODS}
    for held_out in dealt:
        known = [q for fold in dealt if fold is not held_out for q in fold]
        right = matches(faq, held_out)
        for name, method in METHODS.items():
            figures[name].append(measured(method(faq, known)([q.text for q in held_out]), right))
    return {name: np.concatenate(rows).mean(axis=0) for name, rows in figures.items()}


def save(faq: Faq, path: Path) -> None:
    """Train on all duplicates and write what score.py reads. A server never sees half a file."""
    questions = [{"question_id": q.id, "answer_id": q.answer_id, "question": q.text} for q in faq.originals]
    model = {"pipeline": fitted(faq, faq.duplicates), "questions": questions, "answers": faq.answers}
    new = path.with_suffix(".new")
    joblib.dump(model, new, compress=3)
    new.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code: 0 done, 1 the data cannot be used, 2 wrong usage."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if (parsed.originals is None) != (parsed.duplicates is None) or (parsed.answers and not parsed.originals):
        parser.error("--originals and --duplicates belong together")
    try:
        if parsed.originals is None:
            faq = read_page(PAGE)
        else:
            faq = read_files(parsed.originals, parsed.duplicates, parsed.answers)
    except (DataError, OSError, UnicodeDecodeError) as e:
        sys.stderr.write(f"faq.py: {e}\n")
        return 1
    sizes = f"{len(faq.originals)} originals, {len(faq.duplicates)} duplicates, {len(faq.answers)} answers"
    started = time.perf_counter()
    if parsed.command == "train":
        save(faq, parsed.out)
        sys.stdout.write(f"{parsed.out}: {sizes}; trained in {time.perf_counter() - started:.1f} s\n")
    else:
        figures = evaluated(faq, parsed.folds, parsed.seed)
        sys.stdout.write(f"{sizes}; {parsed.folds} folds, seed {parsed.seed}\n\n{_table(figures)}")
    return 0


def _table(figures: dict[str, Array]) -> str:
    lines = [f"| {'':20} |" + "".join(f" {metric:>5} |" for metric in METRICS), f"|{'-' * 22}|" + "------:|" * 5]
    for name, means in figures.items():
        lines.append(f"| {name:20} |" + "".join(f" {mean:.3f} |" for mean in means))
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("faq.py", description=__doc__, formatter_class=form)
    data = argparse.ArgumentParser(add_help=False)
    for name in ("--originals", "--duplicates", "--answers"):
        data.add_argument(name, type=Path, metavar="FILE")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser("train", parents=[data], help="train on all duplicates and write the model")
    train.add_argument("--out", type=Path, default=MODEL, metavar="FILE")
    evaluate = commands.add_parser("evaluate", parents=[data], help="cross-validation; writes nothing")
    evaluate.add_argument("--folds", type=_at_least_two, default=10)
    evaluate.add_argument("--seed", type=int, default=1)
    return parser


def _at_least_two(text: str) -> int:
    count = int(text)
    if count < 2:
        raise argparse.ArgumentTypeError("at least 2 folds are needed")
    return count


if __name__ == "__main__":
    sys.exit(main())
