"""Rows of several requests in one call, each multiplied as if its request had come alone.

A product of matrices is the one step of linear models, networks and projections whose last bits depend on how many rows
there are: BLAS multiplies one row by another kernel than two, and two by another than eight. So a model's weights
are held as arrays that know where one request ends and the next begins. Single rows are multiplied by one stacked call
of numpy, which calls the same kernel for each row as a call with that row alone. All other steps go row by row anyway;
whether that holds is proven for each model (`proof.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, Literal

import numpy as np

from server.workers.python.tree import estimators

WEIGHTS = (
    *("coef_", "coefs_", "components_", "scalings_", "x_rotations_", "random_weights_"),
    *("alpha_", "dual_coef_", "feature_log_prob_"),
)
"""Fitted attributes by which estimators multiply rows."""

_requests: Sequence[int] = ()
"""How many rows each request has that is being predicted; nothing while there is one request."""


@contextmanager
def requests(sizes: Sequence[int]) -> Iterator[None]:
    """While this context lasts, rows are multiplied request by request."""
    global _requests
    _requests = sizes
    try:
        yield
    finally:
        _requests = ()


class Weights(np.ndarray[Any, Any]):
    """A matrix or vector of weights. Whatever is computed with it is a plain array."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:
        plain = [_plain(x) for x in inputs]
        if "out" in more:
            more["out"] = tuple(_plain(x) for x in more["out"])
        elif ufunc is np.matmul and _of_requests(inputs[0]):
            return _matmul(plain[0], plain[1])
        return getattr(ufunc, method)(*plain, **more)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.dot and len(args) == 2 and not kwargs and _of_requests(args[0]):
            return _each(np.dot, args[0], _plain(args[1]))
        return function(*_plain_all(args), **_plain_all(kwargs))

    def __reduce__(self) -> Any:
        return _plain(self).__reduce__()


def _of_requests(rows: Any) -> bool:
    """Whether an array has the rows of the requests: it is not made of weights itself, and has as many rows."""
    return bool(_requests) and type(rows) is np.ndarray and rows.ndim == 2 and len(rows) == sum(_requests)


def _matmul(rows: Any, weights: Any) -> Any:
    if max(_requests) > 1:
        return _each(np.matmul, rows, weights)
    return np.matmul(np.ascontiguousarray(rows)[:, None, :], weights)[:, 0]


def _each(multiply: Any, rows: Any, weights: Any) -> Any:
    """The product, computed request by request and laid out in memory as the rows of one request are."""
    order: Literal["C", "F"] = "C" if rows.flags.c_contiguous else "F"
    ends = [*accumulate(_requests)]
    starts = [0, *ends]
    return np.concatenate([multiply(rows[a:b].copy(order), weights) for a, b in zip(starts, ends, strict=False)])


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Weights) else value


def _plain_all(values: Any) -> Any:
    if isinstance(values, dict):
        return {k: _plain_all(v) for k, v in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_plain_all(v) for v in values)
    return _plain(values)


def prepare(model: Any) -> None:
    """Make a model's weights aware of requests."""
    for one in estimators(model):
        for name in WEIGHTS:
            value = one.__dict__.get(name)
            if isinstance(value, list) and value and all(_is_weights(v) for v in value):
                one.__dict__[name] = [v.view(Weights) for v in value]
            elif _is_weights(value):
                one.__dict__[name] = value.view(Weights)


def _is_weights(value: Any) -> bool:
    return type(value) is np.ndarray and value.dtype.kind == "f" and value.ndim in (1, 2)
