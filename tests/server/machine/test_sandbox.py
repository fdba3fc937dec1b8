"""The sandbox, asked from inside: each thing that is denied fails, and what models need works.

Each case runs in a process of its own, as a fork of a template would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.machine import sandbox
from tests.harness.tandem import eventually

ROOT = Path(__file__).resolve().parents[3]

PRELUDE = """
import ctypes, os, signal, socket, sys, tempfile
from pathlib import Path
from server.machine import sandbox

folder, mode, case = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
models, scratch, own = folder / "models", folder / "scratch", folder / "scratch" / "own"
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    # As longs: of an int on the stack, where the sixth argument lies, the upper half is whatever was there.
    if libc.syscall(number, *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")

parent = os.getpid()
if mode != "off":
    sandbox.lock_template([models], [], scratch)
pid = os.fork() if mode != "template" else 0
if pid:
    status = os.waitpid(pid, 0)[1]
    sys.exit(0 if status == 0 else 7)
os.environ["TMPDIR"] = tempfile.tempdir = str(own)
if mode == "fork":
    sandbox.lock_fork(own)
try:
    exec(case)
except PermissionError as e:
    print("denied")
except BaseException as e:
    print(type(e).__name__, e)
else:
    print("done")
sys.stdout.flush()
os._exit(0)
"""

x86_only = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the calls' numbers are those of x86_64")
needs_all = pytest.mark.skipif(not sandbox.available().full, reason=f"the kernel here offers {sandbox.available()}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a server has: models, scratch folders of two forks, and what models have no business with."""
    for name in ("models", "scratch/own", "scratch/other", "data"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("models/model.rds", "scratch/other/file", "data/key", "hub.sock"):
        (tmp_path / name).write_text("text")
    return tmp_path


def outcome(folder: Path, case: str, mode: str = "fork", prelude: str = PRELUDE) -> str:
    done = subprocess.run(
        [sys.executable, "-c", prelude, str(folder), mode, case],
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(folder / "data")},
        cwd=folder / "data",
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout.strip() or f"exit code {done.returncode}: {done.stderr}"


DENIED = {
    "read the data folder": "open(folder / 'data/key').read()",
    "list the data folder": "os.listdir(folder / 'data')",
    "read beside the model folders": "open(folder / 'hub.sock').read()",
    "read another fork's folder": "open(scratch / 'other/file').read()",
    "read the hashes of passwords": "open('/etc/shadow').read()",
    "read another process's environment": "open(f'/proc/{parent}/environ', 'rb').read()",
    "write to a model": "open(models / 'model.rds', 'a')",
    "cut a model short": "os.truncate(models / 'model.rds', 0)",
    "remove a model": "os.unlink(models / 'model.rds')",
    "rename a model": "os.rename(models / 'model.rds', own / 'model.rds')",
    "add a model": "open(models / 'new', 'w')",
    "write to the system's temporary folder": "open('/tmp/tandem-sandbox-marker', 'w')",
    "write to another fork's folder": "open(scratch / 'other/file', 'w')",
    "write to the kernel's settings": "open('/proc/sys/kernel/core_pattern', 'w')",
    "make a device": "os.mknod(own / 'disk', 0o60600, os.makedev(254, 0))",
    "make a TCP socket": "socket.socket(socket.AF_INET)",
    "make a Unix socket": "socket.socket(socket.AF_UNIX)",
    "make a socket of the kernel's ciphers": "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
    "make a pair of datagram sockets": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "connect": "socket.socketpair()[0].connect(str(folder / 'hub.sock'))",
    "start a program": "os.execv('/bin/true', ['true'])",
    "start a program of its own": "p = own / 'x'; p.write_text('#!/bin/sh'); os.chmod(p, 0o755); os.execv(p, ['x'])",
    "kill its parent": "os.kill(parent, signal.SIGTERM)",
    "kill everybody": "os.kill(-1, 0) or os.kill(1, 0)",
    "make other processes slower": "os.setpriority(os.PRIO_PROCESS, parent, 19)",
    "limit another process": "import resource; resource.prlimit(parent, resource.RLIMIT_NOFILE, (9, 9))",
    "become somebody else": "os.setuid(65534)",
    "change its root": "os.chroot(own)",
    "leave the session with which it is killed": "os.setsid()",
    "leave the process group with which it is killed": "os.setpgid(0, 0)",
    "choose another's processors": "os.sched_setaffinity(parent, os.sched_getaffinity(parent))",
}
DENIED_CALLS = {
    "ptrace": "call(101, 16, parent, 0, 0)",
    "process_vm_readv": "call(310, parent, 0, 0, 0, 0, 0)",
    "process_vm_writev": "call(311, parent, 0, 0, 0, 0, 0)",
    "mount": "call(165, b'none', bytes(own), b'tmpfs', 0, 0)",
    "unshare": "call(272, 0x10000000)",
    "clone into a new user namespace": "call(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "setns": "call(308, 0, 0)",
    "bpf": "call(321, 0, 0, 0)",
    "io_uring_setup": "call(425, 1, 0)",
    "keyctl": "call(250, 0, -3, 0, 0, 0)",
    "userfaultfd": "call(323, 0)",
    "perf_event_open": "call(298, 0, 0, -1, -1, 0)",
    "open_by_handle_at": "call(304, -100, 0, 0)",
    "pidfd_send_signal": "signal.pidfd_send_signal(os.pidfd_open(parent), signal.SIGTERM)",
    "shmget": "call(29, 0, 4096, 0o1600)",
    "memfd_create": "call(319, b'hidden', 0)",
    "inotify_init1": "call(294, 0)",
    "memfd_secret": "call(447, 0)",
}
UNKNOWN_CALLS = {
    "setxattrat": "call(463, -100, bytes(secret), 0, b'user.mine', ctypes.byref(value), 16)",
    "removexattrat": "call(466, -100, bytes(secret), 0, b'user.theirs')",
    "open_tree_attr": "call(467, -100, bytes(secret), 0, 0, 0)",
    "file_setattr": "call(469, -100, bytes(secret), ctypes.byref(value), 24, 0)",
    "a call that no kernel has yet": "call(599)",
}
ALLOWED = {
    "read a model": "assert open(models / 'model.rds').read() == 'text'; assert os.listdir(models) == ['model.rds']",
    "import what was not imported yet": "import sqlite3, decimal, xml.dom.minidom, orjson",
    "write to its own folder": "d = Path(tempfile.mkdtemp()); (d / 'a').write_text('x'); (d / 'a').rename(d / 'b')",
    "copy a file with its mode": "import shutil; shutil.copy2(models / 'model.rds', own / 'copy')",
    "touch a file of its own": "(own / 'new').touch(); assert (own / 'new').exists()",
    "clean its own folder": "import shutil; d = tempfile.mkdtemp(); open(d + '/a', 'w'); shutil.rmtree(d)",
    "use the usual devices": "open('/dev/null', 'w').write('x'); open('/dev/urandom', 'rb').read(1)",
    "look at the machine": "open('/proc/cpuinfo').read(); open('/proc/self/status').read(); os.cpu_count()",
    "know its user and the time zone": "import pwd, time; pwd.getpwuid(0); time.tzset()",
    "choose its own processors": "os.sched_setaffinity(0, os.sched_getaffinity(0))",
    "start threads": "import threading; t = threading.Thread(target=len, args=('',)); t.start(); t.join()",
    "fork, and end what it forked": "p = os.fork() or signal.pause(); os.kill(p, 9); os.waitpid(p, 0)",
    "signal itself": "signal.signal(10, lambda *_: None); signal.raise_signal(10)",
    "make a pair of sockets": "a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'",
    "find a home": "p = Path.home() / '.cache'; p.mkdir(); (p / 'a').write_text('x')",
    "see that no capability is left but one": "s = open('/proc/self/status').read().split('CapEff:')[1].split()[0]; "
    "assert int(s, 16) in (0, sandbox.CAP_DAC_READ_SEARCH)",
    "see that it leaves no core": "import resource; assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)",
    "lock itself up further": "sandbox.lock_fork(own)",
}


@needs_all
@pytest.mark.parametrize("case", DENIED.values(), ids=DENIED)
def test_a_fork_cannot(folder: Path, case: str) -> None:
    assert outcome(folder, case) == "denied"


@needs_all
@x86_only
@pytest.mark.parametrize("case", DENIED_CALLS.values(), ids=DENIED_CALLS)
def test_a_fork_cannot_call(folder: Path, case: str) -> None:
    assert outcome(folder, case) == "denied"


@needs_all
@pytest.mark.parametrize("case", UNKNOWN_CALLS.values(), ids=UNKNOWN_CALLS)
def test_a_call_that_the_library_does_not_know_is_refused_by_its_number(folder: Path, case: str) -> None:
    prepared = "import errno\nsecret = folder / 'data/key'\nvalue = (ctypes.c_uint64 * 3)(0, 0, 0)\n"
    expected = f"try:\n    {case}\nexcept OSError as e:\n    assert e.errno == errno.ENOSYS, e\nelse:\n    assert False"
    assert outcome(folder, prepared + expected) == "done"


@needs_all
@x86_only
def test_an_attribute_of_a_file_that_is_hidden_stays_as_it_was(folder: Path) -> None:
    """Nothing but the call's number is in the way: Landlock does not see what is done to a file's attributes."""
    key = folder / "data/key"
    os.setxattr(key, "user.theirs", b"kept")
    attributes = "class Value(ctypes.Structure):\n    _fields_ = (('at', ctypes.c_uint64), ('size', ctypes.c_uint64))\n"
    text = "text = ctypes.create_string_buffer(b'changed')\nvalue = Value(ctypes.addressof(text), 7)\n"
    call = "call(463, -100, bytes(folder / 'data/key'), 0, b'user.theirs', ctypes.byref(value), 16)"
    assert "OSError" in outcome(folder, attributes + text + call)
    assert os.getxattr(key, "user.theirs") == b"kept"
    assert outcome(folder, attributes + text + call, mode="off") in ("done", "OSError [Errno 38] ")


@needs_all
def test_memory_files_are_left_to_what_needs_them(folder: Path) -> None:
    code = PRELUDE.replace("lock_template([models], [], scratch)", "lock_template([models], [], scratch, True, True)")
    assert outcome(folder, "os.close(os.memfd_create('shared'))", prelude=code) == "done"


@needs_all
def test_a_filter_that_does_not_refuse_what_it_promises_is_no_sandbox(folder: Path) -> None:
    deaf = "from server.machine import seccomp\nseccomp._Filter.load = lambda self: None\n"
    said = outcome(folder, "pass", prelude=PRELUDE.replace("parent = os.getpid()", deaf + "parent = os.getpid()"))
    assert "SandboxFailed: seccomp does not refuse the system calls" in said
    assert " io_uring_setup " in said


@needs_all
def test_a_call_that_is_newer_than_the_library_is_refused_all_the_same(folder: Path) -> None:
    old = """
from server.machine import seccomp
library = seccomp._library
class Old:
    def __getattr__(self, name):
        return getattr(library(), name)
    def seccomp_syscall_resolve_name(self, name):
        number = library().seccomp_syscall_resolve_name(name)
        return number if number < 424 else -1
seccomp._library = Old
"""
    code = PRELUDE.replace("parent = os.getpid()", old + "parent = os.getpid()")
    assert outcome(folder, DENIED_CALLS["io_uring_setup"], prelude=code) == "denied"
    assert outcome(folder, "call(452, -1, 0, 0, 0)", prelude=code) == "done"


@needs_all
@pytest.mark.parametrize("case", ALLOWED.values(), ids=ALLOWED)
def test_a_fork_can(folder: Path, case: str) -> None:
    assert outcome(folder, case) == "done"


@needs_all
def test_a_fork_reads_a_model_that_came_after_it(folder: Path) -> None:
    wait = "import time\nwhile not (models / 'new' / 'model.rds').exists(): pass\n"
    case = "(own / 'locked').touch()\n" + wait + "assert open(models / 'new' / 'model.rds').read() == 'new'"
    with ThreadPoolExecutor() as beside:
        said = beside.submit(outcome, folder, case)
        eventually(lambda: (folder / "scratch/own/locked").exists())
        (folder / "coming").mkdir()
        (folder / "coming/model.rds").write_text("new")
        (folder / "coming").rename(folder / "models/new")
        assert said.result() == "done"


SIGNALS_WHO_FORKED_IT = """
forked_by, p = os.getpid(), os.fork()
if not p:
    LOCK
    try:
        os.kill(forked_by, 0)
    except PermissionError:
        os._exit(0)
    os._exit(1)
assert os.waitpid(p, 0)[1] == 0, "it may"
"""


@needs_all
@pytest.mark.parametrize(("lock", "outcomes"), [("sandbox.lock_signals()", "done"), ("pass", "AssertionError it may")])
def test_a_fork_of_a_fork_can_be_kept_from_ending_that_one(folder: Path, lock: str, outcomes: str) -> None:
    assert outcome(folder, SIGNALS_WHO_FORKED_IT.replace("LOCK", lock)) == outcomes


@needs_all
@pytest.mark.parametrize("name", ["read the data folder", "start a program", "kill its parent", "make a Unix socket"])
def test_the_template_itself_cannot(folder: Path, name: str) -> None:
    case = DENIED[name].replace("parent", "os.getppid()")
    assert outcome(folder, case, mode="template") == "denied"


@needs_all
@pytest.mark.parametrize("name", ["read the data folder", "write to a model", "make a TCP socket", "remove a model"])
def test_without_the_sandbox_it_can(folder: Path, name: str) -> None:
    """So that the tests above can fail."""
    assert outcome(folder, DENIED[name], mode="off") == "done"


@needs_all
def test_what_others_may_do_with_a_file_stays_as_it_is_though_nothing_fails(folder: Path) -> None:
    model = folder / "models/model.rds"
    model.chmod(0o640)
    assert (
        outcome(folder, "os.chmod(models / 'model.rds', 0); os.fchmod(os.open(models / 'model.rds', 0), 0)") == "done"
    )
    assert model.stat().st_mode & 0o777 == 0o640


@needs_all
def test_a_process_with_threads_is_not_locked_because_they_would_stay_free(folder: Path) -> None:
    more = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    code = PRELUDE.replace("parent = os.getpid()", more + "parent = os.getpid()")
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), "template", "pass"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "more than one thread" in done.stderr


@pytest.mark.parametrize(
    ("level", "words", "degree"),
    [
        (sandbox.Level(7, True), "landlock 7, seccomp", 2),
        (sandbox.Level(3, True), "landlock 3, seccomp", 2),
        (sandbox.Level(1, True), "partial (landlock 1, seccomp)", 1),
        (sandbox.Level(0, True), "partial (no landlock, seccomp)", 1),
        (sandbox.Level(7, False), "partial (landlock 7, no seccomp)", 1),
        (sandbox.Level(0, False), "none", 0),
    ],
)
def test_the_level_says_what_is_missing(level: sandbox.Level, words: str, degree: int) -> None:
    assert str(level) == words
    assert sandbox.degree(words) == degree
    assert sandbox.degree("off") == sandbox.degree("failed") == 0
