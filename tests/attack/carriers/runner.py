"""What a model in Python attacks with: runs payloads, each in a process of its own, and says how each has ended.

It is read by the model itself (tests/attack/payloads.py puts it there), so it knows nothing of the tests.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource  # noqa: F401 (what follows is for payloads)
import signal  # noqa: F401
import socket  # noqa: F401
import subprocess  # noqa: F401
import tempfile  # noqa: F401
from collections.abc import Mapping
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    """A system call by its number; what it answered."""
    # As longs: of an int on the stack, where the sixth argument lies, the upper half is whatever was there.
    answer = libc.syscall(number, *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments))
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def above():
    """The processes above this one, up to the supervisor."""
    pids, pid = [], os.getppid()
    while pid > 1:
        pids.append(pid)
        if is_supervisor(pid):
            return pids
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return [*pids, 1]


def is_supervisor(pid):
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return b"server.cli" in command or b"tandem\0serve" in command


def supervisor():
    return above()[-1]


def hub():
    """The supervisor's own socket: in the run folder, as scratch folders are; it need not be seen to be named."""
    scratch = Path(os.environ["TMPDIR"])
    return next(folder / "hub.sock" for folder in scratch.parents if folder.name.startswith("tandem-"))


def outcome(code: str, targets: Mapping[str, object]) -> str:
    """Run one payload: `done`, `nothing` where it finds that it has changed nothing, or the error that it met."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, met(code, targets).encode())
        finally:
            os._exit(0)
    os.close(writing)
    said = os.read(reading, 1000).decode()
    os.close(reading)
    status = os.waitpid(pid, 0)[1]
    return said or f"killed by {os.WTERMSIG(status)}"


def met(code, targets):
    try:
        exec(code, globals() | dict(targets))
    except AssertionError:
        return "nothing"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    except BaseException as e:
        return f"{type(e).__name__}: {e}"
    return "done"


def canary(canaries, name):
    """A file of the server's: one of this process alone, where it can make it."""
    own = Path(canaries, f"{name}-{os.getpid()}")
    try:
        own.touch(0o600)
    except OSError:
        return f"{canaries}/{name}"
    return str(own)


def outcomes(payloads: Mapping[str, str], targets: Mapping[str, object]) -> dict[str, str]:
    """Run all of them, each with a canary of its own."""
    return {
        name: outcome(code, dict(targets) | {"canary": canary(targets["canaries"], name)})
        for name, code in payloads.items()
    }
