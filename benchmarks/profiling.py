"""Runs the tap within this process and tells the CPU seconds of each layer.

`python -m benchmarks.profiling LAYERS ...`: the file for them, and the tap's arguments. A signal comes every two
milliseconds of CPU time. The CPU time that each thread has used since the last one goes to the layer in which the
thread is: that of the innermost frame which a rule below knows. Modules are known by their names; one that no rule
knows is a layer of its own.
"""

from __future__ import annotations

import json
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
    "HTTP": "client http transport connection wire socket pool",
    "discovery": "discovery windows pagination spool",
    "order and state": "base streams state fetch progress",
    "records": "records",
    START: "tap settings command __main__",
}
MODULES = {module: layer for layer, modules in LAYERS.items() for module in modules.split()}
FUNCTIONS = [("decode", re.compile("decode|loads")), ("encode and write", re.compile("encode|dumps|write|flush"))]


def main() -> None:
    """Run the tap with the arguments after the first, then write the layers."""
    layers_file, *arguments = sys.argv[1:]
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
    sys.argv = [PACKAGE, *arguments]
    try:
        runpy.run_module(PACKAGE, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
    finally:
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


def layer_of(innermost: FrameType) -> str:
    """Layer of a stack."""
    layer = None
    frame: FrameType | None = innermost
    while frame:
        code = frame.f_code
        if "importlib" in code.co_filename:
            return START
        layer = layer or _layer(code.co_filename, code.co_name)
        frame = frame.f_back
    return layer or OTHER


def _layer(file: str, function: str) -> str | None:
    """Layer of one frame; None where it works for whoever called it."""
    path = Path(file)
    is_ours, is_sdk = PACKAGE in path.parts, "singer_sdk" in path.parts
    if is_ours or is_sdk:
        for layer, name in FUNCTIONS:
            if name.search(function):
                return layer
    if is_ours:
        return MODULES.get(path.stem, path.name)
    return "SDK" if is_sdk else None


if __name__ == "__main__":
    main()
