"""System calls that a process in the sandbox gives up, by libseccomp (docs/adr/0011-sandbox.md).

libseccomp knows the numbers of the calls on each kind of machine, but only of those that are older than itself. The
numbers of newer ones are stated here, and calls that are newer still are refused whatever they do. When the filter is
in force, each of its rules is tried.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

_libc = ctypes.CDLL(None, use_errno=True)

PR_GET_SECCOMP = 21
EPERM, ENOSYS = 1, 38
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_ALL_THREADS = 4
_NOT_EQUAL, _AT_LEAST, _MASKED_EQUAL = 1, 5, 7
_UNKNOWN = -1


class SandboxFailed(Exception):
    """A part of the sandbox cannot be put in place, or does not refuse what it should; the text says which."""


SOCKETS = ("socket", "connect")
"""System calls that make sockets. A worker needs none: the supervisor has made its sockets."""
PROGRAMS = ("execve", "execveat")
REFUSED = (
    *("bind", "listen", "uselib"),
    # Other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp"),
    *("pidfd_getfd", "pidfd_send_signal", "migrate_pages", "move_pages"),
    *("setpriority", "ioprio_set", "sched_setscheduler", "sched_setparam", "sched_setattr"),
    # To be told when anybody uses a file, which Landlock does not see
    *("inotify_init", "inotify_init1"),
    # Memory, semaphores and queues that any process of the same user finds by number or name
    *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl"),
    *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
    # The kernel's own rarely used doors, and keys
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("keyctl", "add_key", "request_key", "fanotify_init", "open_by_handle_at", "name_to_handle_at", "modify_ldt"),
    *("lsm_set_self_attr", "memfd_secret"),
    # The machine
    *("mount", "umount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("mount_setattr", "pivot_root", "chroot", "unshare", "setns", "swapon", "swapoff", "reboot", "acct", "syslog"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "quotactl", "quotactl_fd"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "vhangup"),
    *("iopl", "ioperm", "nfsservctl", "lookup_dcookie"),
)
MEMORY_FILES = ("memfd_create",)
"""System calls that make files in memory, which count against no limit of the process. Libraries of GPUs need them."""
SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
"""System calls that send signals. Refused where Landlock cannot confine them; a process then cannot signal itself."""
LEAVE_SESSION, LEAVE_GROUP = "setsid", "setpgid"
SWALLOWED = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat"),
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
)
"""System calls that are answered as done and not carried out. Landlock does not see them, so they are not allowed; but
libraries that copy files or unpack archives call them, and need not fail. To set a file's times is left alone, because
`Path.touch` finds out by it whether there is the file."""
NUMBERS = {
    **{"pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427},
    **{"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433},
    **{"clone3": 435, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443},
    **{"memfd_secret": 447, "process_mrelease": 448, "fchmodat2": 452, "lsm_set_self_attr": 460},
}
"""Numbers of calls that an older libseccomp does not know by name. From 424 on they are the same on all machines."""
NOT_LOOKED_AT = range(463, 600)
"""Numbers of system calls too new to have been judged here, such as setxattrat, open_tree_attr and file_setattr. They
are answered as if the kernel did not have them, and programs then use the older call."""
NEW_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
AF_UNIX, AF_INET, AF_INET6, FAMILIES = 1, 2, 10, 64
SOCKET_TYPE, SOCK_DGRAM, SOCK_RAW = 0xF, 2, 3
LOW_32 = 0xFFFFFFFF


class _Argument(ctypes.Structure):
    _fields_ = (("number", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def available() -> bool:
    """Whether the kernel has seccomp, and the machine the library for it."""
    return _library() is not None and _libc.prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def filter_process(signals: bool, memory_files: bool = False, network: bool = False, programs: bool = False) -> None:
    """Give up for good what no process that reads models may call. Raises SandboxFailed.

    `signals`, `memory_files`, sockets of the `network` and `programs` stay allowed where they are true.
    """
    calls = _Filter()
    kept = ((SIGNALS, signals), (MEMORY_FILES, memory_files), (SOCKETS, network), (PROGRAMS, programs))
    for name in (*REFUSED, *(name for names, keep in kept if not keep for name in names)):
        calls.refuse(name, EPERM)
    if network:
        _refuse_other_sockets(calls)
    for name in SWALLOWED:
        calls.refuse(name, 0)
    for number in NOT_LOOKED_AT:
        calls.refuse(number, ENOSYS)
    calls.refuse(LEAVE_SESSION, EPERM)  # what it forks in a template ends with that
    calls.refuse("clone3", ENOSYS)  # its flags cannot be looked at; the C library then takes clone
    for flag in NEW_NAMESPACES:
        calls.refuse("clone", EPERM, _Argument(0, _MASKED_EQUAL, flag, flag))
    for request in (TIOCSTI, TIOCLINUX):  # typing into somebody's terminal
        calls.refuse("ioctl", EPERM, _Argument(1, _MASKED_EQUAL, LOW_32, request))
    calls.refuse("prlimit64", EPERM, _Argument(0, _NOT_EQUAL, 0))  # the limits of others
    calls.refuse("sched_setaffinity", EPERM, _Argument(0, _NOT_EQUAL, 0))  # and their processors
    calls.refuse("socketpair", EPERM, _Argument(0, _NOT_EQUAL, AF_UNIX))
    for kind in (SOCK_DGRAM, SOCK_RAW):  # half of a pair of these can write to any named one, such as the system's log
        calls.refuse("socketpair", EPERM, _Argument(1, _MASKED_EQUAL, SOCKET_TYPE, kind))
    calls.load()
    calls.prove()


def _refuse_other_sockets(calls: _Filter) -> None:
    """Refuse sockets of other kinds than the Internet's: Unix sockets lead to other processes of this machine."""
    for family in set(range(FAMILIES)) - {AF_INET, AF_INET6}:
        calls.refuse("socket", EPERM, _Argument(0, _MASKED_EQUAL, LOW_32, family))
    calls.refuse("socket", EPERM, _Argument(0, _AT_LEAST, FAMILIES))


def filter_fork() -> None:
    """Keep what a model forks in the worker's process group, with which it is killed. Raises SandboxFailed."""
    calls = _Filter()
    calls.refuse(LEAVE_GROUP, EPERM)
    calls.load()


@dataclass(frozen=True, slots=True)
class _Rule:
    """A system call that is refused: answered with this error, or as if it were done where the error is 0."""

    name: str
    number: int
    error: int
    arguments: tuple[_Argument, ...]

    def holds(self) -> bool:
        """Try the call, with arguments that no kernel acts on. A number below 0 stands for a call of other machines."""
        if self.number < 0:
            return True
        given = [-1] * 6
        for argument in self.arguments:
            given[argument.number] = argument.b if argument.how == _MASKED_EQUAL else -1
        answer = _libc.syscall(self.number, *(ctypes.c_long(value) for value in given))
        return (0 if answer == 0 else ctypes.get_errno()) == self.error


class _Filter:
    """A filter of system calls. It only adds to what the process has been refused before."""

    def __init__(self) -> None:
        library = _library()
        assert library is not None
        self._library = library
        self._context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
        self._rules: list[_Rule] = []

    def refuse(self, call: str | int, error: int, *arguments: _Argument) -> None:
        """Answer a call, named or by its number, with an error where its arguments are these."""
        number = call if isinstance(call, int) else self._number(call)
        rule = _Rule(str(call), number, error, arguments)
        given = (_Argument * len(arguments))(*arguments)
        answer = ctypes.c_uint32(_ERRNO | error)
        if self._library.seccomp_rule_add_array(self._context, answer, number, len(arguments), given):
            raise SandboxFailed(f"seccomp takes no rule for the system call {call}")
        self._rules.append(rule)

    def load(self) -> None:
        self._library.seccomp_attr_set(self._context, _ALL_THREADS, 1)
        failed = self._library.seccomp_load(self._context)
        self._library.seccomp_release(self._context)
        if failed:
            raise SandboxFailed(f"seccomp does not load: {os.strerror(-failed)}")

    def prove(self) -> None:
        """Try each call in a fork, so that nothing is lost where one is not refused. Raises SandboxFailed."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writing, " ".join(rule.name for rule in self._rules if not rule.holds()).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as said:
            reached = said.read()
        _, status = os.waitpid(pid, 0)
        if reached or status:
            raise SandboxFailed(f"seccomp does not refuse the system calls {reached or 'that it should'}")

    def _number(self, name: str) -> int:
        number: int = self._library.seccomp_syscall_resolve_name(name.encode())
        number = NUMBERS.get(name, _UNKNOWN) if number == _UNKNOWN else number
        if number == _UNKNOWN:
            raise SandboxFailed(f"libseccomp does not know the system call {name}; install a newer one")
        return number


def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    return library
