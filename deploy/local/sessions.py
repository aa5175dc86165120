"""Programs in a session of their own, so that nothing which they started outlives the deadline."""

import os
import signal
import subprocess
import time
from typing import AnyStr


def ended(process: subprocess.Popen[AnyStr], *, deadline: float) -> tuple[AnyStr, AnyStr]:
    """What a process, started with `start_new_session`, has printed when it ended; the deadline is by the monotonic
    clock. Whatever ends the waiting ends the whole session: raises `subprocess.TimeoutExpired`."""
    try:
        return process.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
