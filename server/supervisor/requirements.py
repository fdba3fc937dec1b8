"""The interpreter of a script: the server's own, or that of a virtual environment with the script's requirements."""

from __future__ import annotations

import sys
from pathlib import Path

from server.config import Settings


async def interpreter(requirements: Path, settings: Settings) -> Path:
    """The interpreter for a script whose requirements are in this file, if there is one. Raises EnvironmentFailed."""
    return Path(sys.executable)
