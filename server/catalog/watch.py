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
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path

from watchfiles import awatch

from server.catalog import beneath, unserved
from server.catalog.beneath import Unopened
from server.catalog.files import TRAIN, Candidate, Kinds, ModelFile, NotServed, candidates, identify
from server.catalog.listing import SMALLEST_BYTES, UNLIMITED, Listing
from server.catalog.settling import Settling
from server.daemon_thread import in_daemon_thread

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
FIRST_LOOK_S = 5.0
"""How long files that are being written at the start may keep the first list waiting."""
POLL_EVERY_S = 1.0
REST_FACTOR = 9
"""How many times as long as a look at very many files took the watch rests before the next."""
QUICK_S = 0.4
LONGEST_REST_S = 30.0
PORTION_S = 2.0
"""How long files are read before those that have been read are told; the next portion is larger."""
_FORBIDDEN = NotServed("the server may not read the file; give the user that it runs as the right to", "unreadable")
_UNHEARD = (TRAIN, "__pycache__")
NETWORK_FILESYSTEMS = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "gluster", "afs")


class Watch:
    """Watches folders, each for the kinds of files given."""

    def __init__(
        self,
        folders: Mapping[Path, Kinds],
        settle_s: float,
        identify: Callable[[Candidate], ModelFile] = identify,
        limit: int = UNLIMITED,
        serving: Callable[[], Collection[Path]] = tuple,
    ) -> None:
        """`limit` is how many files and folders of each are looked at; those that are `serving` are among them."""
        self._folders = folders
        self._settle_s = settle_s
        self._identify = identify
        self._limit = limit
        self._serving = serving
        self.whole = False
        """Whether the latest list has all that has settled, and not only what could be read quickly."""
        self._looked_s = 0.0
        self.portion_s = PORTION_S
        self._settling = {folder: Settling(settle_s) for folder in folders}
        self._identified: dict[Path, dict[Path, tuple[Candidate, ModelFile]]] = {folder: {} for folder in folders}
        self._stirred = asyncio.Event()
        self.listened_to: list[Path] = []
        """The folders of which changes are heard: the model folders, and those inside of them at any depth."""
        self._listening: asyncio.Task[None] | None = None

    def settle_in(self, settle_s: float) -> None:
        """Set for how long a file must have been unchanged before it is read."""
        self._settle_s = settle_s
        for settling in self._settling.values():
            settling.settle_s = settle_s

    async def changes(self) -> AsyncIterator[list[ModelFile]]:
        """What has settled: once at the start, then after each change."""
        try:
            last: list[ModelFile] | None = None
            first = True
            patience_ends: float | None = None
            while True:
                self._stirred.clear()
                files, unsettled = await self._look()
                if patience_ends is None and self.whole:
                    patience_ends = time.monotonic() + FIRST_LOOK_S
                can_wait = patience_ends is not None and time.monotonic() < patience_ends
                first_can_wait = first and self.whole and unsettled and can_wait
                if (files != last or (first and self.whole)) and not first_can_wait:
                    last = files
                    first = first and not self.whole
                    yield files
                self.portion_s = PORTION_S if self.whole else 2 * self.portion_s
                if self.whole:
                    await self._rest(unsettled)
        finally:
            if self._listening is not None:
                self._listening.cancel()

    async def _rest(self, unsettled: bool) -> None:
        """Wait until something happens or it is time for another look, which is sooner where somebody waits for it."""
        if self._looked_s > QUICK_S:
            await asyncio.sleep(min((1 if unsettled else REST_FACTOR) * self._looked_s, LONGEST_REST_S))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stirred.wait(), self._settle_s / 2 if unsettled else LOOK_EVERY_S)

    async def _look(self) -> tuple[list[ModelFile], bool]:
        """What is settled now, and whether something else is not yet."""
        files: list[ModelFile] = []
        unsettled = False
        self.whole = True
        self._looked_s = 0.0
        serving = frozenset(self._serving())
        self._listen_to(await in_daemon_thread(_with_inner, list(self._folders)))
        for folder, kinds in self._folders.items():
            found = await in_daemon_thread(self._found, folder, kinds, serving)
            ready, more = self._settling[folder].settled(found, time.monotonic(), time.time())
            unsettled |= more
            identified = self._identified[folder]
            there = {c.path for c in found}
            for path in identified.keys() - there:
                del identified[path]
            files += await in_daemon_thread(self._identify_all, ready, identified)
            files += self._still_serving(found, ready, identified)
        return files, unsettled

    def _found(self, folder: Path, kinds: Kinds, serving: Collection[Path]) -> list[Candidate]:
        began = time.thread_time()
        others = [other for other in self._folders if other != folder]
        listing = Listing(folder, self._limit, serving)
        models = candidates(folder, kinds, listing)
        found = models + unserved.unserved(folder, kinds, models, others, listing)
        found = [_held_already(one, self._identified[folder]) for one in found]
        self._looked_s += time.thread_time() - began  # of the processor, which others may have meanwhile
        return [*found, unserved.too_many(folder, self._limit)] if listing.over else found

    def _identify_all(
        self, ready: list[Candidate], identified: dict[Path, tuple[Candidate, ModelFile]]
    ) -> list[ModelFile]:
        """All that can be read in a while; what is left is read at the next look, which then comes at once."""
        forbidden: dict[Path, ModelFile] = {}
        gone: set[Path] = set()
        ends = time.monotonic() + self.portion_s
        for candidate in sorted((one for one in ready if not _is_known(one, identified)), key=_rank):
            if time.monotonic() > ends:
                self.whole = False  # what it was before stays until then
                break
            try:
                identified[candidate.path] = candidate, self._identified_as(candidate)
            except PermissionError:  # not to be remembered: a permission that is given changes no file
                forbidden[candidate.path] = unserved.model_file(candidate, _FORBIDDEN)
            except OSError:
                gone.add(candidate.path)
        now = {path: file for path, (_, file) in identified.items() if path not in gone} | forbidden
        return [now[one.path] for one in ready if one.path in now]

    def _identified_as(self, candidate: Candidate) -> ModelFile:
        if candidate.refused is not None:
            return unserved.model_file(candidate, candidate.refused)
        try:
            return self._identify(candidate)
        except Unopened as e:
            return unserved.model_file(candidate, NotServed(e.text))

    def _still_serving(
        self,
        found: list[Candidate],
        ready: list[Candidate],
        identified: dict[Path, tuple[Candidate, ModelFile]],
    ) -> list[ModelFile]:
        """While a file is being rewritten, what it was before stays in the list: the model must not go meanwhile."""
        settled = {c.path for c in ready}
        return [identified[c.path][1] for c in found if c.path not in settled and c.path in identified]

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
    for folder in folders:
        left = [folder] if folder.is_dir() else []
        while left:
            path = left.pop()
            found.append(path)
            with contextlib.suppress(OSError):
                inner = reversed(beneath.folders(path, folder))
                left += [path / name for name in inner if name not in _UNHEARD]
    return found


def _held_already(candidate: Candidate, identified: Mapping[Path, tuple[Candidate, ModelFile]]) -> Candidate:
    """What is as it was by the object that is held: of very many files there is no second copy then."""
    return identified[candidate.path][0] if _is_known(candidate, identified) else candidate


def _is_known(candidate: Candidate, identified: Mapping[Path, tuple[Candidate, ModelFile]]) -> bool:
    known = identified.get(candidate.path)
    return known is not None and known[0] == candidate


def _rank(candidate: Candidate) -> tuple[bool, float]:
    """What is read first, where there is very much: what is large enough for a model, then the oldest."""
    return candidate.stamp[0] < SMALLEST_BYTES, candidate.modified


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
