"""Moves the clock of each Python process that starts with this folder on `PYTHONPATH`."""

from __future__ import annotations

import os
import time
from contextlib import suppress

if seconds := os.environ.get("TESTS_CLOCK_SHIFT"):
    # An environment of its own, made by a test, may lack it.
    with suppress(ImportError):
        import time_machine

        time_machine.travel(time.time() + float(seconds), tick=True).start()
        time.time()  # the clock begins to run when it is first looked at, and a fork would do so for itself
