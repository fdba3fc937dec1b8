"""What it costs to try a model. Trying has a budget, a part of the time that loading may take."""

from __future__ import annotations

from time import perf_counter, process_time


class Stopwatch:
    """Counts the processor's seconds, as a busy machine makes no model dearer.

    Of a model that waits for something it counts a tenth of the clock's.
    """

    def __init__(self) -> None:
        self._clock, self._processor = perf_counter(), process_time()

    def spent(self) -> float:
        """The seconds since it was made."""
        return max(process_time() - self._processor, (perf_counter() - self._clock) / 10)
