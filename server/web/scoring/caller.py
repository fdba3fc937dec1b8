"""What the scoring route asks of the connection that a request came by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Caller(Protocol):
    """The client of one request."""

    on_gone: Callable[[], object] | None
    """Called once if the client hangs up while the request that set it is being answered; forgotten with the answer."""

    def vouched(self) -> None:
        """Note that the client has shown a good token."""

    def cut(self) -> None:
        """End the connection at once: a reply that has begun cannot be finished."""
