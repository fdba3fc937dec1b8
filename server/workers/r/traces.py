"""What R's models share beyond what any process has: options, the search path, global variables, packages."""

from __future__ import annotations

from collections.abc import Iterable

from server.workers.r import embedded
from server.workers.traces import Changes

UNCHANGED, DRAWN = 0, 1


class RPart:
    """What models of R share, as `server.workers.traces.Part` describes such a part. Its code is in `R/traces.R`."""

    def __init__(self) -> None:
        self._drawn = False
        self._drawing: set[str] = set()

    def note(self, closely: bool = False) -> None:
        """Note what there is now as the right state; `closely` includes the content of packages, which takes long."""
        if closely:
            embedded.call_seldom("note_traces", True)
        else:
            embedded.call("note_traces")

    def enter(self, model_key: str) -> None:
        """Prepare a call of this model: it goes on with the random numbers that it had, if it ever drew any."""
        if model_key in self._drawing:
            embedded.call("take_random_state", model_key)

    def unchanged(self) -> bool:
        """Whether all seems to be as noted, random numbers aside. Asked after each call, so it takes microseconds."""
        found = embedded.asked("traces_found")
        self._drawn = found == DRAWN
        return found in (UNCHANGED, DRAWN)

    def leave(self, model_key: str) -> None:
        """End a call after which nothing has changed: the random numbers that others draw are as noted again."""
        if self._drawn:
            embedded.call("keep_random_state", model_key)
            self._drawing.add(model_key)

    def changes(self) -> Changes:
        """What has changed since it was noted, in words."""
        found = embedded.to_python(embedded.call_seldom("traces_described")) or {}
        return {what: text[0] if text else None for what, text in found.items()}

    def packages(self) -> set[str]:
        """The packages that are loaded."""
        return set(embedded.call("loaded_packages"))

    def load(self, packages: Iterable[str]) -> None:
        """Load packages, as far as they can be loaded."""
        embedded.call("load_packages", list(packages))
