"""Runs the tap within this process and tells the CPU seconds of each layer.

`python -m benchmarks.profiling LAYERS ...`: the file for them, and the tap's arguments. A signal comes every two
milliseconds of CPU time. The CPU time that each thread has used since the last one goes to the layer in which the
thread is: that of the innermost frame which a rule below knows. Modules are known by their names; one that no rule
knows is a layer of its own.
"""

from __future__ import annotations

import json
import linecache
import re
import runpy
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

PACKAGE = "tap_signalwire_logs"
SAMPLE_SECONDS = 0.002
START = "start"
OTHER = "other libraries"

LAYERS = {
    "HTTP": "client transport retry rate_limit",
    "discovery": "discovery windows pagination external_sort",
    "order and state": "log_stream streams extraction logs state digests progress",
    "records": "records source exact_json instants",
    START: "tap settings cli __main__",
}
MODULES = {module: layer for layer, modules in LAYERS.items() for module in modules.split()}
CALLS = [
    ("decode", re.compile(r"(decode|loads)\w*\(")),
    ("encode and write", re.compile(r"(encode|dumps|write|flush)\w*\(")),
]
"""Work that is done in C and has no frame: known by the line that is at it, or by the function around it."""


def main() -> None:
    """Run the tap with the arguments after the first, then write the layers."""
    layers_file, *arguments = sys.argv[1:]
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS)
    sys.argv = [PACKAGE, *arguments]
    try:
        runpy.run_module(PACKAGE, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
    finally:
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(layers_file).write_text(json.dumps(sampler.seconds), encoding="utf-8")


class Sampler:
    """CPU seconds by layer."""

    def __init__(self) -> None:
        """What the interpreter has used until now is part of the start."""
        used = time.process_time()
        self.seconds: defaultdict[str, float] = defaultdict(float, {START: used})
        self._used = {threading.get_ident(): time.thread_time()}

    def sample(self, _: int, frame: FrameType | None) -> None:
        """Give each thread's CPU time since the last sample to its layer; the signal brings the main thread's frame."""
        main = threading.main_thread().ident
        for thread, current in sys._current_frames().items():  # noqa: SLF001 - Python has no other name for it
            innermost = frame if thread == main and frame else current
            used = time.clock_gettime(time.pthread_getcpuclockid(thread))
            self.seconds[layer_of(innermost)] += used - self._used.get(thread, 0.0)
            self._used[thread] = used
        # Only now: the next signal must not come while this one is at work.
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS)


def layer_of(innermost: FrameType) -> str:
    """Layer of a stack."""
    layer = None
    frame: FrameType | None = innermost
    while frame:
        code = frame.f_code
        if "importlib" in code.co_filename:
            return START
        layer = layer or _layer(frame)
        frame = frame.f_back
    return layer or OTHER


def _layer(frame: FrameType) -> str | None:
    """Layer of one frame; None where it works for whoever called it."""
    path = Path(frame.f_code.co_filename)
    is_ours, is_sdk = PACKAGE in path.parts, "singer_sdk" in path.parts
    if is_ours or is_sdk:
        line = linecache.getline(str(path), frame.f_lineno or 0)
        for layer, call in CALLS:
            if call.search(line) or call.search(f"{frame.f_code.co_name}("):
                return layer
    if is_ours:
        return MODULES.get(path.stem, path.name)
    return "SDK" if is_sdk else None


if __name__ == "__main__":
    main()
