"""A description as a probe might give it, for tests in which nothing is probed."""

from __future__ import annotations

from server.wire.models import Description
from server.wire.schema import Input, Output, Schema

DESCRIPTION = Description(
    schema=Schema((Input("x", "numeric"),), (Output("response", "number"),)).to_data(),
    model_class="lm",
    package="stats",
    package_version="4.5.0",
    example={"x": 1.0},
    example_prediction=2.0,
    rowwise=True,
    batch_reason="it was proven",
    golden_rows=0,
)
