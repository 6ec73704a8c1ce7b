"""The queue between the threads, and its waits."""

from __future__ import annotations

import queue
import signal
import threading
import time

import pytest

from tap_signalwire_logs.extraction import BatchQueue


def test_a_signal_that_comes_as_a_wait_is_over_does_not_make_it_last() -> None:
    batches = BatchQueue()
    at_last = threading.Timer(10, batches.end, [None])
    at_last.start()
    # The handler is at work when the wait's time is over.
    before = signal.signal(signal.SIGALRM, lambda *_: time.sleep(0.2))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(queue.Empty):
            batches.get(0.1)
    finally:
        signal.signal(signal.SIGALRM, before)
        at_last.cancel()
