"""Features of pairs: a question that somebody asks, against every original question of an FAQ.

Lies beside score.py because a trained model names this module: whoever reads `model.joblib` must be able to import it.
It must not know files, requests, or where the questions come from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

ANSWER_WEIGHT = 0.5
"""A word of the answer tells less of what will be asked than a word of a question does."""
BLOCK = 256
"""Questions that are compared at once, which bounds the memory."""

_WORD = re.compile(r"[^\W_]+")
_ENDINGS = ("ing", "ed", "es", "s", "e")
_SHORTEST_STEM = 3


def words(text: str) -> list[str]:
    """The words of a text in lower case without the commonest English endings: "uses", "used" and "using" are one."""
    return [_stem(word) for word in _WORD.findall(text.lower().replace("'", ""))]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word[: -len(ending)]
    return word


class View:
    """One way to cut texts into terms, and everything that questions are compared with, as vectors over these terms.

    Around an original are the original itself, the questions that are known to match it, and its answer. A term weighs
    the less, the more originals it occurs around, so that "how", "do" and "model" hardly count.
    """

    def __init__(self, **cut: Any) -> None:
        self._counter = CountVectorizer(binary=True, dtype=np.float64, **cut)

    def fit(self, originals: Sequence[str], known: Sequence[str], answers: Sequence[str], matches: Flags) -> View:
        """Learn the terms and their weights. `matches` tells which known question (row) matches which original."""
        counts = sparse.csr_array(self._counter.fit_transform([*originals, *known, *answers]))
        self._size = len(originals)
        first, asked, answered = np.split(np.arange(counts.shape[0]), [self._size, self._size + len(known)])
        asked_around = counts[first] + sparse.csr_array(matches.T.astype(np.float64)) @ counts[asked]
        self._around = sparse.csr_array(asked_around + ANSWER_WEIGHT * counts[answered])
        spread = np.bincount(self._around.indices, minlength=counts.shape[1])
        self._weights = np.log((self._size + 0.5) / spread)
        weighed = self._weighed(counts)
        units = sparse.diags_array(1 / _not_zero(_lengths(weighed))) @ weighed
        # What a question is multiplied with, in one go: originals, known questions, answers, all around each original.
        self._references = sparse.csr_array(sparse.vstack([units, _saturated(self._around)]).T)
        # The columns of the references that are questions around an original, one original after the other.
        groups = [[i, *(self._size + np.flatnonzero(matches[:, i]))] for i in range(self._size)]
        self._members = np.concatenate(groups).astype(np.intp)
        self._starts = np.cumsum([0, *(len(group) for group in groups[:-1])])
        return self

    def compare(self, questions: Sequence[str], first_known: int | None, matches: Flags | None) -> list[Array]:
        """Five likenesses of questions (rows) to originals (columns), each from 0 to 1.

        To the original, to the nearest question around it, to these on average, to the answer (cosines), and to all
        that is around it: which share of the question's weight occurs there, the oftener the more.
        Where the questions are themselves known, from number `first_known` on with their `matches`, each is compared
        as if it were not.
        """
        counts = sparse.csr_array(self._counter.transform(questions))
        weighed = self._weighed(counts)
        products = (weighed @ self._references).toarray()
        cosines = products[:, : -self._size] / _not_zero(_lengths(weighed))[:, np.newaxis]
        shares = products[:, -self._size :]
        numbers: NDArray[np.intp] = np.diff([*self._starts, len(self._members)])
        if first_known is not None and matches is not None:
            own = np.arange(len(questions))
            cosines[own, self._size + first_known + own] = 0
            numbers = numbers - matches
            row, column = np.nonzero(matches)
            without = _saturated(sparse.csr_array(self._around[column] - counts[row]))
            shares[row, column] = (weighed[row] * without).sum(axis=1)
        around = cosines[:, self._members]
        return [
            cosines[:, : self._size],
            np.maximum.reduceat(around, self._starts, axis=1),
            np.add.reduceat(around, self._starts, axis=1) / numbers,
            cosines[:, -self._size :],
            shares / _not_zero(_sums(weighed, weighed.data))[:, np.newaxis],
        ]

    def _weighed(self, counts: sparse.csr_array) -> sparse.csr_array:
        return sparse.csr_array((self._weights[counts.indices], counts.indices, counts.indptr), shape=counts.shape)


def _lengths(vectors: sparse.csr_array) -> Array:
    """The Euclidean length of each row."""
    return np.sqrt(_sums(vectors, vectors.data**2))


def _sums(vectors: sparse.csr_array, data: Array) -> Array:
    """The sum of each row, were `data` its numbers."""
    rows = np.repeat(np.arange(vectors.shape[0]), np.diff(vectors.indptr))
    return np.bincount(rows, weights=data, minlength=vectors.shape[0]).astype(np.float64)


def _not_zero(values: Array) -> Array:
    """A text without a known term has length 0, and is like nothing."""
    return np.where(values > 0, values, 1.0)


def _saturated(counts: sparse.csr_array) -> sparse.csr_array:
    """The second occurrence of a term tells less than the first: x / (1 + x)."""
    saturated = counts.copy()
    saturated.data = saturated.data / (1 + saturated.data)
    return saturated


def views() -> list[View]:
    """Words, and the runs of letters in them, which survive a mistyping."""
    return [
        View(tokenizer=words, token_pattern=None, lowercase=False),
        View(analyzer="char_wb", ngram_range=(3, 5)),
    ]


class PairFeatures(TransformerMixin, BaseEstimator):
    """Turns n questions into n x m rows of features: each question against each of the m originals, in order.

    Fitting remembers the questions that were asked before and which originals they matched: a new question may be more
    like one of those than like the original. In `fit_transform` each question is taken as if it were not known.

    Args:
        originals: the texts of the original questions, m of them
        answers: the text of the answer to each original; empty where there is none
    """

    def __init__(self, originals: Sequence[str], answers: Sequence[str]) -> None:
        self.originals = originals
        self.answers = answers

    def fit(self, questions: Sequence[str], y: Any) -> PairFeatures:
        """Learn from questions and from flags `y`, n x m of them in order, that tell which original each matches."""
        matches = np.asarray(y, dtype=bool).reshape(len(questions), len(self.originals))
        self.views_ = [view.fit(self.originals, questions, self.answers, matches) for view in views()]
        return self

    def fit_transform(self, questions: Sequence[str], y: Any = None, **_: Any) -> Array:
        """The features of the questions that are learnt from, shape (n x m, features)."""
        self.fit(questions, y)
        matches = np.asarray(y, dtype=bool).reshape(len(questions), len(self.originals))
        return self._features(questions, matches)

    def transform(self, questions: Sequence[str]) -> Array:
        """The features of new questions, shape (n x m, features)."""
        return self._features(questions, None)

    def _features(self, questions: Sequence[str], matches: Flags | None) -> Array:
        blocks = []
        for start in range(0, len(questions), BLOCK):
            own = (None, None) if matches is None else (start, matches[start : start + BLOCK])
            alike = [like for view in self.views_ for like in view.compare(questions[start : start + BLOCK], *own)]
            alike += [_lead(like) for like in alike]
            blocks.append(np.stack([like.ravel() for like in alike], axis=1))
        return np.concatenate(blocks)


def _lead(likeness: Array) -> Array:
    """How far each original is ahead of the best other one; negative where it is behind."""
    second, best = np.partition(likeness, -2, axis=1)[:, -2:].T[:, :, np.newaxis]
    lead: Array = likeness - np.where(likeness == best, second, best)
    return lead
