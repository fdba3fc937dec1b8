"""What R's models share beyond what any process has: options, the search path, global variables, packages."""

from __future__ import annotations

from collections.abc import Iterable

from server.workers.r import embedded
from server.workers.traces import Changes

UNCHANGED, DRAWN = 0, 1


class RPart:
    """See `server.workers.traces.Part`; the code is in `R/traces.R`."""

    def __init__(self) -> None:
        self._drawn = False
        self._drawing: set[str] = set()

    def note(self, closely: bool = False) -> None:
        """See `Part`."""
        if closely:
            embedded.call_seldom("note_traces", True)
        else:
            embedded.call("note_traces")

    def enter(self, model_key: str) -> None:
        """See `Part`."""
        if model_key in self._drawing:
            embedded.call("take_random_state", model_key)

    def unchanged(self) -> bool:
        """See `Part`."""
        found = embedded.asked("traces_found")
        self._drawn = found == DRAWN
        return found in (UNCHANGED, DRAWN)

    def leave(self, model_key: str) -> None:
        """See `Part`."""
        if self._drawn:
            embedded.call("keep_random_state", model_key)
            self._drawing.add(model_key)

    def changes(self) -> Changes:
        """See `Part`."""
        found = embedded.to_python(embedded.call_seldom("traces_described")) or {}
        return {what: text[0] if text else None for what, text in found.items()}

    def packages(self) -> set[str]:
        """See `Part`."""
        return set(embedded.call("loaded_packages"))

    def load(self, packages: Iterable[str]) -> None:
        """See `Part`."""
        embedded.call("load_packages", list(packages))
