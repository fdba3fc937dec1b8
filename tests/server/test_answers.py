"""Batching never changes an answer: any mix of concurrent requests returns exactly what each would get alone."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import httpx
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.tandem import Tandem

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
CELL = st.one_of(FINITE, st.integers(-(2**53), 2**53), st.sampled_from([None, "NaN", "Inf", "-Inf", "wrong", True, []]))
CAR = st.fixed_dictionaries({"wt": CELL, "hp": CELL, "cyl": st.sampled_from(["4", "6", "8", "5", None])})
FLOWER = st.fixed_dictionaries({n: CELL for n in ("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width")})
ASK = st.one_of(
    st.tuples(st.just("mpg"), st.fixed_dictionaries({"rows": st.lists(CAR, max_size=4)})),
    st.tuples(st.just("am"), st.fixed_dictionaries({"rows": st.lists(CAR, max_size=2)})),
    st.tuples(
        st.just("iris"),
        st.fixed_dictionaries(
            {"rows": st.lists(FLOWER, min_size=1, max_size=3), "output": st.sampled_from(["class", "prob", "none"])}
        ),
    ),
)


def _settled(reply: httpx.Response) -> tuple[int, Any]:
    document = reply.json()
    document.pop("request_id", None)
    return reply.status_code, document


async def _all_at_once(url: str, headers: dict[str, str], asks: list[tuple[str, Any]]) -> list[tuple[int, Any]]:
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=30) as client:
        posts = [client.post(f"/v1/models/{model}/score", content=orjson.dumps(body)) for model, body in asks]
        return [_settled(reply) for reply in await asyncio.gather(*posts)]


def test_any_mix_of_concurrent_requests_equals_each_alone(tandem: Tandem) -> None:
    headers = tandem.headers() | {"content-type": "application/json"}
    client = httpx.Client(base_url=tandem.url, headers=headers)

    @cache
    def alone(model: str, body: bytes) -> tuple[int, Any]:
        return _settled(client.post(f"/v1/models/{model}/score", content=body))

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(ASK, min_size=2, max_size=40))
    def mixed(asks: list[tuple[str, Any]]) -> None:
        together = asyncio.run(_all_at_once(tandem.url, headers, asks))
        for (model, body), got in zip(asks, together, strict=True):
            assert got == alone(model, orjson.dumps(body))
            assert got[0] in (200, 422)

    with client:
        mixed()
