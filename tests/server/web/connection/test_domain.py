"""Endpoints under names of their own."""

from __future__ import annotations

import pytest

from server.web.connection.domain import of_domain


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        (b"cars.ml.example.com", "/score", "/endpoints/cars/score"),
        (b"Cars.ML.example.com:8443", "/score", "/endpoints/Cars/score"),
        (b"cars.ml.example.com", "/", "/endpoints/cars/"),
        (b"cars.ml.example.com", "/auth/token", "/endpoints/cars/auth/token"),
        (b"cars.ml.example.com", "/health/ready", "/health/ready"),
        (b"ml.example.com", "/score", "/score"),
        (b"a.cars.ml.example.com", "/score", "/score"),
        (b"cars.ml.example.com.evil.org", "/score", "/score"),
        (b"carsxml.example.com", "/score", "/score"),
        (b"-.ml.example.com", "/score", "/score"),
        (b"", "/score", "/score"),
    ],
)
def test_a_name_below_the_domain_is_an_endpoints(host: bytes, path: str, expected: str) -> None:
    meant = of_domain("ml.example.com")
    assert meant is not None
    assert meant(host, path) == expected


def test_without_a_domain_no_host_is_looked_at() -> None:
    assert of_domain(None) is None
