import os
import subprocess

import psutil

from server.machine.proportional import proportional_bytes


def test_memory_is_counted_by_share_and_a_process_that_has_gone_counts_nothing() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert proportional_bytes([gone.pid]) == 0
    told = psutil.Process().memory_full_info().pss
    assert 0.9 * told < proportional_bytes([os.getpid(), gone.pid]) < 1.1 * told
