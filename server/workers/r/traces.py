"""What R's models share beyond what any process has: options, the search path, global variables."""

from __future__ import annotations

from collections.abc import Iterable

from server.workers.r import embedded
from server.workers.traces import Changes


class RPart:
    """See `server.workers.traces.Part`; the code is in `R/traces.R`."""

    def note(self) -> None:
        """See `Part`."""
        embedded.call("note_traces")

    def unchanged(self) -> bool:
        """See `Part`."""
        return not embedded.asked("traces_found")

    def changes(self) -> Changes:
        """See `Part`."""
        found = embedded.call("traces_told") or {}
        return {what: text[0] if text else None for what, text in found.items()}

    def packages(self) -> set[str]:
        """See `Part`."""
        return set(embedded.call("loaded_packages"))

    def load(self, packages: Iterable[str]) -> None:
        """See `Part`."""
        embedded.call("load_packages", list(packages))
