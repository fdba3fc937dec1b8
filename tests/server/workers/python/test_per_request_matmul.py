"""Joined requests are multiplied as each alone; a model whose rows are not independent even then is found out."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression

from server.workers.python import per_request_matmul
from server.workers.python.per_request_matmul import Weights, requests
from tests.server.workers.python.conftest import Serve

SIZES = st.lists(st.integers(1, 20), min_size=2, max_size=12)


@pytest.mark.parametrize("multiply", [np.matmul, np.dot])
@given(
    sizes=SIZES,
    inputs=st.integers(1, 70),
    outputs=st.integers(0, 12),
    layouts=st.tuples(*[st.sampled_from("CF")] * 2),
    seed=st.integers(0, 1000),
)
def test_each_request_gets_the_bits_that_it_would_get_alone(
    multiply: Any, sizes: list[int], inputs: int, outputs: int, layouts: tuple[Any, Any], seed: int
) -> None:
    random = np.random.default_rng(seed)
    weights = np.asarray(random.normal(size=(inputs, outputs) if outputs else inputs), order=layouts[1])
    alone = [np.asarray(random.normal(size=(size, inputs)), order=layouts[0]) for size in sizes]
    together = np.asarray(np.concatenate(alone), order=layouts[0])
    with requests(sizes):
        found = multiply(together, weights.view(Weights))
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, np.concatenate([multiply(rows, weights) for rows in alone]))


def test_weights_are_plain_numbers_otherwise() -> None:
    weights = np.arange(6.0).reshape(3, 2).view(Weights)
    for found in (
        weights + 1,
        np.ones((4, 3)) @ weights,
        np.dot(np.ones(3), weights),
        np.concatenate([weights, weights]),
    ):
        assert type(found) is np.ndarray
    out = np.empty((4, 2))
    with requests([1, 3]):
        np.matmul(np.ones((4, 3)), weights, out=out)
    np.testing.assert_array_equal(out, np.ones((4, 3)) @ weights)
    assert type(pickle.loads(pickle.dumps(weights))) is np.ndarray


def test_the_weights_of_all_parts_are_found() -> None:
    model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    per_request_matmul.prepare(model)
    assert isinstance(model.coef_, Weights)


class Centred(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Its answer depends on the other rows."""

    n_features_in_ = 1

    def fit(self, x: Any, y: Any = None) -> Centred:
        return self

    def predict(self, x: Any) -> Any:
        return x[:, 0] - x.mean()


class Picky(Centred):
    def predict(self, x: Any) -> Any:
        if (x != 0).any():
            raise ValueError("I know nothing but zero")
        return x[:, 0]


def test_a_model_whose_rows_are_not_independent_is_called_request_by_request(serve: Serve) -> None:
    served = serve(Centred())
    assert not served.description.rowwise
    assert "other bits together than alone" in served.description.batch_reason
    documents = served.documents([[{"x0": 1}], [{"x0": 2}, {"x0": 4}]])
    assert [d["predictions"] for d in documents] == [[0], [-1, 1]]


def test_a_model_that_bears_too_few_sample_rows_is_not_joined(serve: Serve) -> None:
    served = serve(Picky())
    assert not served.description.rowwise
    assert "state golden rows" in served.description.batch_reason
