"""Runs pip, or tries a model's environment, in a process that is locked up first.

It is run as a file, by the server's own interpreter and with `-I -S`: pip is the server's, and sees no packages but
those of the environment. Nothing of a package ever runs in pip's own process; and where it may start no programs it
cannot build one in another.

    python -I -S server/pools/installer.py --sandbox MODE --pip FOLDER --environment FOLDER (options)
        pip ARGUMENT…, or: import MODULE
"""

from __future__ import annotations

import argparse
import os
import re
import runpy
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NO_PROGRAM = "nothing is built here"
PROGRAMS = frozenset({"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"})

SYSTEM = Path("/etc/debian_version")
"""File from which pip tells an index which system it runs on."""
CONFIGURATIONS = ("/etc/pip.conf", "/etc/xdg/pip/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
MORE = ("~/.netrc", "/etc/pki")
VARIABLES = ("PIP_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_", "NETRC")
NAMED = re.compile(r"(?:^|[\s=,]|file://)(/[^\s,]+)", re.MULTILINE)
"""A path in a setting of pip's, as in `find-links = /srv/wheels`."""


def main() -> None:
    """Lock this process up and run pip, or import a module of an environment, as the command line says."""
    given = _parser().parse_args()
    sys.path.insert(0, given.pip)
    import pip  # noqa: F401  # which finds its own modules from here on, wherever the path leads

    sys.path[:1] = []
    sys.path.append(str(ROOT))
    from server.machine import sandbox
    from server.workers import start

    reads = [SYSTEM, *given.read, *map(Path, given.own), given.environment]
    reads += [*(_of_pip() if given.network else ()), *(_of_builds() if given.programs else ())]
    sandbox.as_asked(given.sandbox, lambda: sandbox.lock_installer(reads, given.write, given.network, given.programs))
    if not given.programs:
        sys.addaudithook(_refuse_programs)
    what, *arguments = given.command
    if what == "import":
        start.enter(given.environment, given.own)
        import_module(*arguments)
        return
    sys.prefix = sys.exec_prefix = str(given.environment)
    sys.path[-1:] = [str(start.packages_of(given.environment))]
    sys.argv = ["pip", *arguments]
    runpy.run_module("pip", run_name="__main__")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sandbox", choices=("off", "on", "require"), required=True)
    parser.add_argument("--pip", required=True, help="folder that pip is in")
    parser.add_argument("--environment", type=Path, required=True, help="folder of the packages")
    parser.add_argument("--own", action="append", default=[], help="a folder of the server's own packages")
    parser.add_argument("--read", type=Path, action="append", default=[], help="what else is read")
    parser.add_argument("--write", type=Path, action="append", default=[], help="a folder that is written to")
    parser.add_argument("--network", action="store_true", help="call other machines; read how pip is set up here")
    parser.add_argument("--programs", action="store_true", help="start programs, as a source package does")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def _refuse_programs(event: str, _: object) -> None:
    if event in PROGRAMS:
        raise PermissionError(NO_PROGRAM)


def _of_pip() -> list[Path]:
    """The files that hold the operator's settings of pip, and the files and folders that those name."""
    files = [Path(name).expanduser() for name in CONFIGURATIONS]
    if "XDG_CONFIG_HOME" in os.environ:
        files.append(Path(os.environ["XDG_CONFIG_HOME"], "pip", "pip.conf"))
    if "PIP_CONFIG_FILE" in os.environ:
        files.append(Path(os.environ["PIP_CONFIG_FILE"]))
    settings = [value for name, value in os.environ.items() if name.startswith(VARIABLES)]
    texts = [file.read_text(errors="replace") for file in files if file.is_file()]
    named = [Path(path) for text in (*settings, *texts) for path in NAMED.findall(text)]
    # An index in a folder refers to files beside it: simple/ and files/.
    indices = [path.parent for path in named if path.name == "simple"]
    return [*files, *(Path(name).expanduser() for name in MORE), *named, *indices]


def _of_builds() -> list[Path]:
    """Folders that building a source package needs: programs, Python among them, headers and libraries."""
    bin_folder = Path(sys.executable).parent
    path = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(":") if folder]
    prefixes = [Path(sys.base_prefix), Path("/usr"), Path("/usr/local")]
    own = [bin_folder, bin_folder.parent / "pyvenv.cfg"]
    return [*own, *path, *(prefix / part for prefix in prefixes for part in ("bin", "include"))]


if __name__ == "__main__":
    main()
