"""The sandbox: a template and its forks give up what a model has no business with, before they read any model file.

A model file is code (docs/adr/0011-sandbox.md). From `lock_template` on, a process reads only what Python, R and the
models need, writes only below the pool's scratch folder, and can neither make a socket, nor start a program, nor send
a signal to anybody but its own children; `lock_fork` leaves it one scratch folder of its own. Nothing of this can be
taken back, and children inherit it.

Landlock decides about files, ports and signals; seccomp about whole system calls; no capability is left but the one to
read files of other users. Each does what the kernel at hand can do, and `Level` says what that is.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import server
from server.machine import seccomp
from server.machine.seccomp import SandboxFailed as SandboxFailed

log = logging.getLogger(__name__)

_libc = ctypes.CDLL(None, use_errno=True)

MAX_FILES = 4096


@dataclass(frozen=True, slots=True)
class Level:
    """What the sandbox is made of: the version of Landlock (0: none), and whether there is seccomp."""

    landlock: int
    seccomp: bool

    @property
    def full(self) -> bool:
        """Whether everything that is promised is kept. Before its third version Landlock let files be cut short."""
        return self.landlock >= TRUNCATE_SINCE and self.seccomp

    def __str__(self) -> str:
        if not self.landlock and not self.seccomp:
            return "none"
        landlock = f"landlock {self.landlock}" if self.landlock else "no landlock"
        words = f"{landlock}, {'seccomp' if self.seccomp else 'no seccomp'}"
        return words if self.full else f"partial ({words})"


def degree(words: str) -> int:
    """How far a process is locked up that says this of itself, as a number: 0 not, 1 partly, 2 fully."""
    return 2 if words.startswith("landlock") else 1 if words.startswith("partial") else 0


def available() -> Level:
    """The sandbox that this machine offers. Changes nothing."""
    return Level(_landlock_version(), seccomp.available())


# Locking


_reads: list[tuple[str, int]] = []
_level: Level | None = None


def as_asked(mode: str, lock: Callable[[], Level]) -> str:
    """Lock this process as far as a server's setting asks for and as is possible; how far, in words.

    Raises SandboxFailed where it is required and cannot be had.
    """
    if mode == "off":
        return "off"
    level = available()
    if mode == "require" and not level.full:
        raise SandboxFailed(f"there is {level}")
    try:
        return str(lock())
    except SandboxFailed:
        if mode == "require":
            raise
        log.exception("the sandbox cannot be put in place")
        return "failed"


def locked() -> bool:
    """Whether this process is in a sandbox, even if only a part of one could be put in place."""
    return _level is not None


def lock_template(
    models: Iterable[Path], more: Iterable[Path], scratch: Path, holds_models: bool = True, memory_files: bool = False
) -> Level:
    """Lock this process: from here on it reads `models` and `more` besides what it runs on.

    It writes below `scratch`, where its forks have their folders. Where it `holds_models` itself, it must have one
    thread: others would stay free. `memory_files` says whether it may make files that lie in memory alone, which is
    then limited by nothing but the container's. Raises SandboxFailed.
    """
    global _level
    if holds_models and len(list(Path("/proc/self/task").iterdir())) > 1:
        raise SandboxFailed("the process has more than one thread")
    level = available()
    home = Path(os.environ.get("HOME") or "/root")
    found = _above_none_of((scratch, home, Path.cwd()), [*map(Path, sys.path), *_open_libraries()])
    _reads[:] = _rules([*_given(), *more, *models, *found])
    _give_up_privileges()
    if level.landlock:
        _restrict(level.landlock, _for_models(scratch))
    if level.seccomp:
        seccomp.filter_process(level.landlock >= SCOPES_SINCE, memory_files=memory_files)
    _level = level
    return level


def lock_installer(reads: Iterable[Path], writes: Sequence[Path], network: bool, programs: bool) -> Level:
    """Lock this process, which is to install packages: it reads what Python runs on and `reads`, and writes `writes`.

    It stays in its process group, and makes sockets only of the `network`, to call. Where it may start `programs`, as
    compilers, it starts those of what it reads and writes. Raises SandboxFailed.
    """
    level = available()
    rules = [*_rules([*_given(), *reads]), *((str(folder), READ | WRITE) for folder in writes)]
    rights = EXECUTE if programs else 0
    _give_up_privileges()
    if level.landlock:
        _restrict(level.landlock, [*((path, right | rights) for path, right in rules), *_devices()], not network)
    if level.seccomp:
        seccomp.filter_process(level.landlock >= SCOPES_SINCE, network=network, programs=programs)
        seccomp.filter_fork()
    return level


def lock_fork(scratch: Path) -> None:
    """Leave a fork of a locked template `scratch` alone to write to; it is its home too. Raises SandboxFailed."""
    if _level is None:
        return
    os.environ["HOME"] = str(scratch)  # where libraries keep caches, if they find it
    if _level.landlock:
        _restrict(_level.landlock, _for_models(scratch))
    if _level.seccomp:
        seccomp.filter_fork()


def _for_models(scratch: Path) -> list[tuple[str, int]]:
    return [*_reads, *_devices(), (str(scratch), READ | WRITE)]


def lock_signals() -> None:
    """Have this process signal none but its own children, not even the locked one that it was forked from."""
    if _level is not None and _level.landlock >= SCOPES_SINCE:
        _restrict_to(_Ruleset(0, 0, SCOPE_SIGNAL), [])


# What may be read

SYSTEM = tuple(
    Path(path)
    for path in (
        *("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share"),
        *("/usr/local/lib", "/usr/local/lib64", "/usr/local/share", "/usr/local/cuda", "/proc", "/sys"),
    )
)
ETC = (
    *("R", "alternatives", "fonts", "group", "host.conf", "hosts", "java", "ld.so.cache", "ld.so.conf"),
    *("ld.so.conf.d", "locale.alias", "localtime", "lsb-release", "machine-id", "magic", "mime.types", "nsswitch.conf"),
    *("nvidia", "OpenCL", "os-release", "papersize", "passwd", "protocols", "resolv.conf", "services", "ssl/certs"),
    *("ssl/openssl.cnf", "timezone", "vulkan"),
)
"""Files and folders in /etc that models may read. The whole of /etc would include keys and hashes of passwords."""
DEVICES = ("null", "zero", "full", "random", "urandom")
GPUS = ("nvidia*", "nvidia-caps/*", "dri/*", "kfd")


def _given() -> list[Path]:
    """Files and folders that every locked process may read: the system, Python and our own code."""
    prefixes = [Path(prefix, part) for prefix in (sys.prefix, sys.base_prefix) for part in ("lib", "lib64", "share")]
    return [*SYSTEM, *(Path("/etc", name) for name in ETC), *prefixes, Path(server.__file__).parent]


def _open_libraries() -> list[Path]:
    """Folders of the libraries that are open by now. What they open later lies beside them, as MKL's kernels do."""
    mapped = {line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    return [Path(path).parent for path in mapped if path.startswith("/") and ".so" in path]


def _above_none_of(hidden: Sequence[Path], paths: Iterable[Path]) -> list[Path]:
    """The paths that are not above something hidden. Python's path may include the folder that it was started in."""
    secret = [path.resolve() for path in hidden]
    return [path for path in paths if not any(s.is_relative_to(path.resolve()) for s in secret)]


def _rules(paths: Iterable[Path]) -> list[tuple[str, int]]:
    """One rule for each file or folder that is there, with its right; none for what lies in a folder that has one."""
    wanted = {path.resolve() for path in paths if os.access(path, os.R_OK)}
    outermost = sorted(path for path in wanted if wanted.isdisjoint(path.parents))
    return [(str(path), READ if path.is_dir() else READ_FILE) for path in outermost]


def with_linked(folder: Path) -> list[Path]:
    """A folder, and the targets of the links in it: a library of R packages that renv has made consists of links."""
    try:
        return [folder, *(entry.resolve() for entry in folder.iterdir() if entry.is_symlink())]
    except OSError:
        return [folder]


# Landlock: https://docs.kernel.org/userspace-api/landlock.html

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_WANT_VERSION = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR = (1 << n for n in range(8))
MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM, REFER, TRUNCATE, IOCTL_DEV = (1 << n for n in range(8, 16))
READ = READ_FILE | READ_DIR
WRITE = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_FIFO | MAKE_SYM | REFER | TRUNCATE
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV
REFER_SINCE, TRUNCATE_SINCE, PORTS_SINCE, IOCTL_SINCE, SCOPES_SINCE = 2, 3, 4, 5, 6
_NEWER = ((REFER_SINCE, REFER), (TRUNCATE_SINCE, TRUNCATE), (IOCTL_SINCE, IOCTL_DEV))
ALL_PORTS = 3
"""Landlock's rights of TCP: to bind and to connect."""
SCOPE_SIGNAL, ALL_SCOPES = 2, 3
"""Landlock's scopes: abstract Unix sockets and signals."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("ports", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def _landlock_version() -> int:
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _WANT_VERSION)
    return max(0, version)


def _restrict(version: int, rules: Iterable[tuple[str, int]], ports: bool = True) -> None:
    """Everything is forbidden that a rule does not allow; and ports, where they are not left out."""
    files = (1 << 13) - 1
    for since, right in _NEWER:
        files |= right if version >= since else 0
    scopes = ALL_SCOPES if version >= SCOPES_SINCE else 0
    allowed = [(path, rights & files) for path, rights in rules]
    _restrict_to(_Ruleset(files, ALL_PORTS if ports and version >= PORTS_SINCE else 0, scopes), allowed)


def _restrict_to(wanted: _Ruleset, rules: Iterable[tuple[str, int]]) -> None:
    ruleset = _libc.syscall(_CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(ctypes.sizeof(wanted)), 0)
    if ruleset < 0:
        raise SandboxFailed(f"Landlock makes no ruleset: {os.strerror(ctypes.get_errno())}")
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights)
        if _libc.syscall(_RESTRICT_SELF, ruleset, 0):
            raise SandboxFailed(f"Landlock does not restrict: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(ruleset)


def _devices() -> list[tuple[str, int]]:
    gpus = [path for pattern in GPUS for path in Path("/dev").glob(pattern)]
    return [(str(path), DEVICE) for path in (*(Path("/dev", name) for name in DEVICES), *gpus) if not path.is_dir()]


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it has gone meanwhile
    try:
        rule = _PathBeneath(rights, folder)
        if _libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0):
            raise SandboxFailed(f"Landlock takes no rule for {path}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(folder)


# Privileges

PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION = 0x20080522
CAP_DAC_READ_SEARCH = 1 << 2


def _give_up_privileges() -> None:
    """Set limits: no core file, no more open files than a process needs, no capability."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MAX_FILES if most == resource.RLIM_INFINITY else min(MAX_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    _give_up_capabilities()
    _no_new_privileges()


def _no_new_privileges() -> None:
    if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise SandboxFailed("the kernel does not let privileges be given up")


def _give_up_capabilities() -> None:
    """Drop all capabilities but that of reading the files of others: model files do not always belong to root."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # twice effective, permitted, inheritable: the low and the high bits
    if _libc.capget(header, sets):
        raise SandboxFailed("the capabilities cannot be read")
    kept = sets[1] & CAP_DAC_READ_SEARCH
    if _libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)):
        raise SandboxFailed("the capabilities cannot be given up")
