"""What R's front-end, the shell script `R`, sets in the environment before it starts R itself.

rpy2 would start R twice in processes of its own to find out: two thirds of a second of a core for each template.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

LIBRARY_PATH = "LD_LIBRARY_PATH"


def variables() -> dict[str, str]:
    """What to set before R's library is opened, beyond what is set: where R is and the parts of it.

    The script is told that a shell is the debugger in which it is to run R, and that shell is told to print what it
    was given.
    """
    script = Path(os.environ["R_HOME"], "bin", "R") if "R_HOME" in os.environ else "R"
    command = [script, "--debugger=sh", "--debugger-args=-s"]
    environment = {name: value for name, value in os.environ.items() if name != "R_HOME"}  # it would warn of it
    given = subprocess.run(command, input="env -0", env=environment, capture_output=True, text=True, check=True).stdout
    found = dict(line.partition("=")[::2] for line in given.split("\0"))
    return {
        name: value
        for name, value in found.items()
        if name == LIBRARY_PATH or (name.startswith("R_") and name not in os.environ)
    }
