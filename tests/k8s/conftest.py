"""Fixtures of the manifests' tests."""

from __future__ import annotations

import pytest

from tests.k8s.rendered import COMPOSED, OVERLAYS, Manifest, render


@pytest.fixture(params=[*OVERLAYS, *COMPOSED])
def objects(request: pytest.FixtureRequest) -> list[Manifest]:
    """The objects of each overlay, and of each further composition."""
    return render(request.param)
