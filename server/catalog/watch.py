"""The watch over the model folders: yields the list of what has settled in them whenever it changes.

That is the model files, and whatever else lies there, as refused. Files are looked at in threads that nobody waits for
at the stop.

Notifications (inotify, by watchfiles) say only that something happened; what there is comes from looking. Folders on
network shares send none and are polled. A slow look every few seconds catches whatever was missed. Each folder is
listened to by itself, and links are not: one may lead to the whole disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from watchfiles import awatch

from server.catalog import unserved
from server.catalog.beneath import Unopened
from server.catalog.files import TRAIN, Candidate, Kinds, ModelFile, NotServed, candidates, identify
from server.catalog.settling import Settling
from server.daemon_thread import in_daemon_thread

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
FIRST_LOOK_S = 5.0
"""How long files that are being written at the start may keep the first list waiting."""
POLL_EVERY_S = 1.0
_FORBIDDEN = NotServed("the server may not read the file; give the user that it runs as the right to", "unreadable")
NETWORK_FILESYSTEMS = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "gluster", "afs")


class Watch:
    """Watches folders, each for the kinds of files given."""

    def __init__(
        self,
        folders: Mapping[Path, Kinds],
        settle_s: float,
        identify: Callable[[Candidate], ModelFile] = identify,
    ) -> None:
        self._folders = folders
        self._settle_s = settle_s
        self._identify = identify
        self._settling = {folder: Settling(settle_s) for folder in folders}
        self._identified: dict[Path, tuple[Candidate, ModelFile]] = {}
        self._stirred = asyncio.Event()
        self.listened_to: list[Path] = []
        """The folders of which changes are heard: the model folders, and those inside of them at any depth."""
        self._listening: asyncio.Task[None] | None = None

    def settle_in(self, settle_s: float) -> None:
        """From now on a file is read when it has been unchanged for so long."""
        self._settle_s = settle_s
        for settling in self._settling.values():
            settling.settle_s = settle_s

    async def changes(self) -> AsyncIterator[list[ModelFile]]:
        """What has settled: once at the start, then after each change."""
        try:
            last: list[ModelFile] | None = None
            patience_ends = time.monotonic() + FIRST_LOOK_S
            while True:
                self._stirred.clear()
                files, unsettled = await self._look()
                first_can_wait = last is None and unsettled and time.monotonic() < patience_ends
                if files != last and not first_can_wait:
                    last = files
                    yield files
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stirred.wait(), self._settle_s / 2 if unsettled else LOOK_EVERY_S)
        finally:
            if self._listening is not None:
                self._listening.cancel()

    async def _look(self) -> tuple[list[ModelFile], bool]:
        """What is settled now, and whether something else is not yet."""
        files: list[ModelFile] = []
        unsettled = False
        self._listen_to(await in_daemon_thread(_with_inner, list(self._folders)))
        for folder, kinds in self._folders.items():
            found = await in_daemon_thread(self._found, folder, kinds)
            ready, more = self._settling[folder].settled(found, time.monotonic(), time.time())
            unsettled |= more
            self._forget_gone(folder, found)
            files += await in_daemon_thread(self._identify_all, ready)
            files += self._still_serving(found, ready)
        return files, unsettled

    def _found(self, folder: Path, kinds: Kinds) -> list[Candidate]:
        models = candidates(folder, kinds)
        return models + unserved.unserved(folder, kinds, models, [other for other in self._folders if other != folder])

    def _forget_gone(self, folder: Path, found: list[Candidate]) -> None:
        there = {c.path for c in found}
        for path in [p for p in self._identified if p.is_relative_to(folder) and p not in there]:
            del self._identified[path]

    def _identify_all(self, ready: list[Candidate]) -> list[ModelFile]:
        files = []
        for candidate in ready:
            known = self._identified.get(candidate.path)
            if known is None or known[0] != candidate:
                try:
                    known = (candidate, self._identified_as(candidate))
                except PermissionError:  # not to be remembered: a permission that is given changes no file
                    files.append(unserved.model_file(candidate, _FORBIDDEN))
                    continue
                except Unopened as e:
                    known = (candidate, unserved.model_file(candidate, NotServed(e.text)))
                except OSError:
                    continue
                self._identified[candidate.path] = known
            files.append(known[1])
        return files

    def _identified_as(self, candidate: Candidate) -> ModelFile:
        if candidate.refused is not None:
            return unserved.model_file(candidate, candidate.refused)
        return self._identify(candidate)

    def _still_serving(self, found: list[Candidate], ready: list[Candidate]) -> list[ModelFile]:
        """While a file is being rewritten, what it was before stays in the list: the model must not go meanwhile."""
        settled = {c.path for c in ready}
        return [self._identified[c.path][1] for c in found if c.path not in settled and c.path in self._identified]

    def _listen_to(self, folders: list[Path]) -> None:
        if folders == self.listened_to:
            return
        self.listened_to = folders
        if self._listening is not None:
            self._listening.cancel()
        self._listening = asyncio.create_task(self._listen(folders))

    async def _listen(self, folders: list[Path]) -> None:
        try:
            await self._notify(folders)
        except OSError as e:  # no more of them are granted
            about = {"reason": str(e), "folders": len(folders)}
            log.warning(f"no notifications of changes; there is a look every {LOOK_EVERY_S:g} s", extra=about)

    async def _notify(self, folders: list[Path]) -> None:
        polled = any(_on_network(f) for f in self._folders)
        if not folders:
            return
        self._stirred.set()  # what came before it was listened for
        async for _ in awatch(
            *folders,
            watch_filter=None,
            debounce=50,
            step=20,
            rust_timeout=1000,
            yield_on_timeout=False,
            force_polling=polled or None,
            poll_delay_ms=int(POLL_EVERY_S * 1000),
            recursive=False,
        ):
            self._stirred.set()


def _with_inner(folders: list[Path]) -> list[Path]:
    """Folders that are there, with those inside of them at any depth."""
    found: list[Path] = []
    for top in folders:
        for path, inner, _ in os.walk(top):
            inner[:] = sorted(name for name in inner if name not in (TRAIN, "__pycache__"))
            found.append(Path(path))
    return found


def _on_network(folder: Path) -> bool:
    """Whether a folder lies on a file system that sends no notifications for what others write."""
    where = folder.resolve()
    best, kind = Path("/"), ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, filesystem, *_ = line.split(" ")
        point = Path(mount.replace("\\040", " "))
        if where.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, filesystem
    return kind.startswith(NETWORK_FILESYSTEMS)
