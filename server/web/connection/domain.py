"""Names of endpoints' own: what is asked of `cars.ml.example.com` is asked of the endpoint `cars`.

Owns which part of a host is an endpoint's name. Must not know which endpoints there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable

HEALTH = "/health/"
"""Asked by load balancers under any name."""


def of_domain(domain: str | None) -> Callable[[bytes, str], str] | None:
    """What gives the path that a host and a path mean together; None where endpoints have no names of their own."""
    if domain is None:
        return None
    host = re.compile(
        rb"([a-z](?:[a-z0-9-]{0,30}[a-z0-9])?)\." + re.escape(domain.encode()) + rb"(?::[0-9]{1,5})?", re.I
    )

    def meant(given: bytes, path: str) -> str:
        found = host.fullmatch(given)
        if found is None or path.startswith(HEALTH):
            return path
        return f"/endpoints/{found[1].decode()}{path}"

    return meant
