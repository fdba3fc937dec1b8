"""Batches of Machine Learning Server: records that are asked one by one, behind all callers who wait.

A batch is a folder: what it is, in `about`, and a line for each record that was answered, in `results`. So every web
process can tell of a batch that another has taken. Whoever runs it holds a lock on `about`: one that died is noticed.
A batch ends with the server, and is forgotten once there are too many others.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import uuid4

import orjson

from server.web.problems import CODE_HEADER, ProblemError, problem

log = logging.getLogger(__name__)

MAX_AT_ONCE = 8
"""Batches that a web process runs at a time."""
MAX_WAITING = 32
"""Batches that it holds besides, until one of those has ended."""
MAX_KEPT = 200
MAX_KEPT_BYTES = 1 << 30
"""Batches that have ended make room for new ones, the oldest first."""
MAX_RESULT_BYTES = 64 << 20
"""Largest size of all results of one batch."""
AGAIN = (b"queue_full", b"overloaded", b"no_worker", b"rate_limited", b"too_many_connections", b"remote_unavailable")
"""Refusals that pass: the record is asked again."""
MAX_PAUSE_S = 5.0
LOST = "The process that ran this batch has ended. Send this record again."

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
State = Literal["pending", "inProgress", "complete"]


class Answer(Protocol):
    """What a record was answered."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """By their names in lower case."""

    @property
    def body(self) -> bytes:
        """A consume reply, or an error."""


Ask = Callable[[str, Mapping[bytes, bytes], str, bytes], Awaitable[Answer]]
"""Posts a body to a path, with headers, as a client of this address."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done: each record is a body that `path` takes."""

    owner: str
    path: str
    headers: Mapping[bytes, bytes] = field(repr=False)
    client: str
    records: Sequence[bytes] = field(repr=False)
    parallel: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is. `results` are in the order of the records, up to the first that is not answered yet."""

    state: State
    done: int
    total: int
    results: Sequence[bytes]


class Executions:
    """The batches of a server, of which this process runs those that it has taken."""

    def __init__(self, folder: Path, ask: Ask) -> None:
        self._folder = folder
        self._ask = ask
        self._running = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, order: Order) -> str:
        """Begin a batch; its id. Raises ProblemError where too many are waiting."""
        if len(self._tasks) >= MAX_AT_ONCE + MAX_WAITING:
            raise ProblemError(
                problem("queue_full", "Too many batches wait already. Try again later.", retry_after_s=5.0)
            )
        self._make_room()
        execution = str(uuid4())
        folder = self._folder / execution
        folder.mkdir(parents=True, mode=0o700)
        about = {"owner": order.owner, "path": order.path, "total": len(order.records)}
        file = os.open(folder / "about", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, orjson.dumps(about))
        task = self._tasks[execution] = asyncio.create_task(self._run(execution, order))

        def over(task: asyncio.Task[None]) -> None:
            os.close(file)
            del self._tasks[execution]
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a batch ended early", exc_info=error, extra={"reason": execution})

        task.add_done_callback(over)
        return execution

    def ids(self, owner: str, path: str) -> list[str]:
        """The batches of one account at a service, the newest last."""
        found = [folder for folder in self._folders() if self._is_theirs(folder, owner, path)]
        return [folder.name for folder in found]

    def read(self, owner: str, path: str, execution: str) -> Progress | None:
        """How far a batch is; None where the account has no such batch there."""
        folder = self._of(execution)
        if folder is None or not self._is_theirs(folder, owner, path):
            return None
        runs = _is_held(folder / "about")  # asked first: what it has written since counts
        with suppress(OSError):
            total = _about(folder)["total"]
            answered = dict(_results(folder))
            if len(answered) < total and not runs:
                answered = {at: answered.get(at) or told_as_error(LOST) for at in range(total)}
            prefix: list[bytes] = []
            while len(prefix) in answered:
                prefix.append(answered[len(prefix)])
            state: State = "complete" if len(answered) == total else "inProgress" if answered else "pending"
            return Progress(state, len(answered), total, prefix)
        return None

    def remove(self, owner: str, path: str, execution: str) -> bool:
        """End a batch and forget it. False where the account has no such batch there."""
        folder = self._of(execution)
        if folder is None or not self._is_theirs(folder, owner, path):
            return False
        shutil.rmtree(folder, ignore_errors=True)  # who runs it sees that; a task of this process need not wait for it
        if task := self._tasks.get(execution):
            task.cancel()
        return True

    async def close(self) -> None:
        """End what runs."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, execution: str, order: Order) -> None:
        async with self._running:
            waiting = iter(enumerate(order.records))
            written = _Results(self._folder / execution)
            async with asyncio.TaskGroup() as group:
                for _ in range(min(order.parallel, len(order.records))):
                    group.create_task(self._work(execution, order, waiting, written))

    async def _work(
        self, execution: str, order: Order, waiting: Iterator[tuple[int, bytes]], written: _Results
    ) -> None:
        """Have one record after another answered, until there is none or the batch is gone."""
        for at, record in waiting:
            if not written.wanted:
                return
            headers = {**order.headers, b"x-request-id": f"{execution}-{at}".encode()}
            written.add(at, await self._answered(order, headers, record, written))

    async def _answered(self, order: Order, headers: Mapping[bytes, bytes], record: bytes, written: _Results) -> bytes:
        while True:
            answer = await self._ask(order.path, headers, order.client, record)
            if answer.status == 200:
                return answer.body
            if answer.headers.get(CODE_HEADER) not in AGAIN or not written.wanted:
                return told_as_error(_message(answer.body))
            pause_s = int(answer.headers.get(b"retry-after-ms", b"1000")) / 1000
            await asyncio.sleep(min(pause_s, MAX_PAUSE_S))

    # Folders

    def _folders(self) -> list[Path]:
        """The folders of all batches, the oldest first."""
        found = []
        for folder in self._folder.glob("*-*"):
            with suppress(OSError):
                found.append(((folder / "about").stat().st_mtime_ns, folder))
        return [folder for _, folder in sorted(found)]

    def _of(self, execution: str) -> Path | None:
        return self._folder / execution if _ID.fullmatch(execution) else None

    def _is_theirs(self, folder: Path, owner: str, path: str) -> bool:
        with suppress(OSError):
            about = _about(folder)
            return (about["owner"], about["path"]) == (owner, path)
        return False

    def _make_room(self) -> None:
        folders = self._folders()
        sizes = {folder: _size(folder) for folder in folders}
        for folder in folders:
            if len(sizes) < MAX_KEPT and sum(sizes.values()) < MAX_KEPT_BYTES:
                return
            if not _is_held(folder / "about"):
                shutil.rmtree(folder, ignore_errors=True)
                del sizes[folder]


class _Results:
    """The lines of a batch's results."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._size = 0

    @property
    def wanted(self) -> bool:
        """Whether the batch has not been removed."""
        return self._folder.exists()

    def add(self, at: int, result: bytes) -> None:
        """A record has been answered."""
        self._size += len(result)
        if self._size > MAX_RESULT_BYTES:
            result = told_as_error("The results of this batch are too large. Send fewer records, or ask one by one.")
        with suppress(FileNotFoundError), (self._folder / "results").open("ab") as file:  # removed meanwhile
            file.write(b"%d %b\n" % (at, result))


def told_as_error(message: str) -> bytes:
    """A record's result where it has none."""
    result = {"success": False, "errorMessage": message, "outputParameters": {}, "consoleOutput": ""}
    return orjson.dumps(result | {"changedFiles": [], "outputFiles": {}})


def _message(body: bytes) -> str:
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        return str(orjson.loads(body)["message"])
    return problem("internal_error").detail


def _about(folder: Path) -> dict[str, Any]:
    try:
        return dict(orjson.loads((folder / "about").read_bytes()))
    except ValueError as error:  # it is being written at this moment
        raise FileNotFoundError(folder) from error


def _results(folder: Path) -> Iterator[tuple[int, bytes]]:
    """What was answered. The last line counts once it is whole."""
    with suppress(FileNotFoundError):
        *lines, _ = (folder / "results").read_bytes().split(b"\n")
        for line in lines:
            at, _, result = line.partition(b" ")
            yield int(at), result


def _is_held(about: Path) -> bool:
    """Whether somebody runs the batch."""
    try:
        file = os.open(about, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _size(folder: Path) -> int:
    with suppress(OSError):
        return (folder / "results").stat().st_size
    return 0
