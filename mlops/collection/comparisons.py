"""All comparisons since the recorder began. One thread adds to them while another one tells."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from server.wire.collect import Copied, Described

if TYPE_CHECKING:
    from mlops.collection.comparison import Comparison


class Comparisons:
    """A comparison for each pair of model versions that answer beside each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[tuple[bytes, bytes], Comparison] = {}

    def add(self, live: tuple[Described, Copied], mirror: tuple[Described, Copied]) -> str:
        """Add a pair; what became of it."""
        from mlops.collection.comparison import Comparison  # not before: the recorder listens sooner without it

        key = live[1].described, mirror[1].described
        with self._lock:
            if key not in self._of:
                self._of[key] = Comparison(live[0], mirror[0])
            return self._of[key].add(live[1], mirror[1])

    def told(self, endpoint: str) -> list[dict[str, Any]]:
        """The reports of an endpoint, one for each pair of versions; the newest pair last."""
        with self._lock:
            return [one.told() for one in self._of.values() if one.live.endpoint == endpoint]
