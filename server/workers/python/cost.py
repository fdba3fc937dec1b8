"""What it costs to try a model. Trying has a budget, a part of the time that loading may take."""

from __future__ import annotations

from time import perf_counter, process_time


class Stopwatch:
    """Counts seconds of the processor, because a busy machine makes no model dearer.

    Where a model waits for something, a tenth of the clock's seconds count.
    """

    def __init__(self) -> None:
        self._clock, self._processor = perf_counter(), process_time()

    def spent(self) -> float:
        """Seconds that were spent since the stopwatch was made."""
        return max(process_time() - self._processor, (perf_counter() - self._clock) / 10)
