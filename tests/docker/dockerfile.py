"""What the Dockerfile says, read where a test needs it."""

from __future__ import annotations

import re

from tests.harness.tandem import ROOT

DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()


def argument(name: str) -> str:
    """The default of a build argument."""
    joined = DOCKERFILE.replace("\\\n", "")
    [default] = re.findall(rf'^ARG {name}="?([^"\n]*)"?$', joined, re.MULTILINE)
    return str(default)


R_PACKAGES = argument("R_PACKAGES").split()
