"""A process that has imported the tap, and forks for each run of its command.

Run by `tests.support.forked`. Requests come over a socket: a JSON object with the three standard descriptors of the
run. A run is no child of this process: it goes to the nearest subreaper, which is the test process while it asks.
"""

from __future__ import annotations

import gc
import importlib
import json
import locale
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import time_machine

from tests.support.warm.server import open_standard_streams, run_to_end

MODULE = "tap_signalwire_logs"
MAX_REQUEST_BYTES = 1 << 20


def import_everything() -> None:
    """Import each module of the tap, and what the tap imports late."""
    package = importlib.import_module(MODULE)
    for module in pkgutil.walk_packages(package.__path__, f"{MODULE}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; gives the request in the process that is to run it, and None when no more come."""
    while True:
        body, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 3)
        if not body:
            return None
        reading, writing = os.pipe()
        between = os.fork()
        if not between:
            child = os.fork()
            if child:
                os.write(writing, str(child).encode())
                os._exit(0)
            os.close(reading)
            os.close(writing)
            requests.close()
            for standard, descriptor in enumerate(descriptors):
                os.dup2(descriptor, standard)
                os.close(descriptor)
            request: dict[str, Any] = json.loads(body)
            return request
        os.close(writing)
        for descriptor in descriptors:
            os.close(descriptor)
        # Once the one between has ended, the run is the test process's child.
        os.waitpid(between, 0)
        requests.send(os.read(reading, 32))
        os.close(reading)


def become(request: dict[str, Any]) -> None:
    """Be what a fresh interpreter is when `python -m tap_signalwire_logs` begins."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if request["new_session"]:
        os.setsid()
    if request["folder"] is not None:
        os.chdir(request["folder"])
    before = float(os.environ.get("TESTS_CLOCK_SHIFT", "0"))
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    if shift := float(os.environ.get("TESTS_CLOCK_SHIFT", "0")) - before:
        time_machine.travel(time.time() + shift, tick=True).start()
        time.time()  # from here on the clock runs
    locale.setlocale(locale.LC_CTYPE, "")
    sys.argv = [MODULE, *request["arguments"]]
    sys.path[0] = str(Path.cwd())
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    open_standard_streams()


def main() -> None:
    """Serve until the test process closes the socket."""
    # Ctrl-C at a terminal reaches this process too, and ends it through its socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = socket.socket(fileno=int(sys.argv[1]))
    import_everything()
    assert threading.active_count() == 1, "a fork would lose the other threads"
    # No run is to look through, and so to copy, what was imported.
    gc.collect()
    gc.freeze()
    requests.send(b"ready")
    request = serve(requests)
    if request:
        become(request)
        run_to_end(lambda: runpy.run_module(MODULE, run_name="__main__", alter_sys=True))


if __name__ == "__main__":
    main()
