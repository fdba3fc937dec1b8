"""Starts a template on a model's environment, which is a folder of packages that somebody else has chosen.

It is run as a file, by the server's own interpreter and with `-I -S`, so that of the environment nothing is on the path
and nothing runs (.pth files, sitecustomize) before this process is locked up. So it knows the standard library only,
and of ours what knows no more.

    python -I -S server/workers/start.py --environment FOLDER --own FOLDER… (arguments of server.workers.template)
"""

from __future__ import annotations

import argparse
import ctypes
import signal
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def arguments() -> argparse.ArgumentParser:
    """What a template is told when it starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--max-payload-bytes", type=int, required=True)
    parser.add_argument("--max-inflated-bytes", type=int, required=True)
    parser.add_argument("--sandbox", choices=("off", "on", "require"), required=True)
    parser.add_argument("--scratch", type=Path, required=True, help="folder of the folders that forks write to")
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="folders that models are read from")
    parser.add_argument("--memory-bytes", type=int, required=True, help="what each fork may use beyond the models")
    parser.add_argument("--max-calls", type=int, required=True, help="after which a worker is worn; 0 means never")
    parser.add_argument("--environment", type=Path, help="folder of the packages that come before the server's own")
    parser.add_argument("--own", nargs="*", default=[], help="folders of the server's own packages")
    return parser


def packages_of(environment: Path) -> Path:
    """The folder of an environment's packages."""
    folder = str(environment)
    return Path(sysconfig.get_path("purelib", "venv", {"base": folder, "platbase": folder}))


def bind_to_parent() -> None:
    """A template without a supervisor serves nobody; what a worker's children leave behind is reaped in it."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)


def enter(environment: Path, own: Iterable[str]) -> None:
    """Enter an environment: its packages come first, the server's own last. Runs its .pth files."""
    sys.prefix = sys.exec_prefix = str(environment)
    sys.path.remove(str(ROOT))
    site.addsitedir(str(packages_of(environment)))
    append(own)
    for give in (site.setquit, site.setcopyright, site.sethelper):  # exit() and others, which -S leaves out
        give()


def append(own: Iterable[str]) -> None:
    """Add the server's own packages and the server itself, behind all others."""
    sys.path += [folder for folder in (*own, str(ROOT)) if folder not in sys.path]


def main() -> None:
    """Start a template, as the module says."""
    given = arguments().parse_args()
    bind_to_parent()
    sys.path.append(str(ROOT))
    lock = _locked(given)
    from server.workers import template

    template.serve(given, lock)


def _locked(given: argparse.Namespace) -> Callable[[object], str]:
    """Lock this process up, then enter the environment; what to tell of it.

    Where the lock is required and cannot be had, nothing of the environment runs.
    """
    from server.machine import sandbox

    reads = [given.environment, *map(Path, given.own)]
    try:
        level = sandbox.as_asked(given.sandbox, lambda: sandbox.lock_template(given.models, reads, given.scratch))
    except sandbox.SandboxFailed as e:
        append(given.own)
        return partial(_fail, e)
    enter(given.environment, given.own)
    return lambda _: level


def _fail(error: Exception, _: object) -> str:
    raise error


if __name__ == "__main__":
    main()
