"""A process that has imported a command, and forks for each of its runs; `sitecustomize.py` stands in for them.

    python server.py SOCKET MODULE ...

The socket is there once everything is imported. It ends when the socket's folder is gone, or the process that the
folder's `owner` names.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import locale
import marshal
import os
import resource
import runpy
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

LENGTH_BYTES = 8
POLL_SECONDS = 1.0


class Server:
    """Forks for each request, and tells its client how the run ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        owner = path.with_name("owner")
        self._owner = Path("/proc", owner.read_text(encoding="utf-8")) if owner.exists() else path
        self._clients: dict[int, socket.socket] = {}
        self._ended, self._wakes = socket.socketpair()
        for end in (self._ended, self._wakes):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes.fileno())
        self._listener = socket.socket(socket.AF_UNIX)
        made = path.with_suffix(".made")
        self._listener.bind(str(made))
        self._listener.listen(64)
        made.rename(path)

    def serve(self) -> tuple[Any, ...] | None:
        """Serve; gives the request in the process that is to run it, and None once nobody wants it."""
        while self._clients or (self._path.exists() and self._owner.exists()):
            readable, _, _ = select.select([self._listener, self._ended, *self._clients.values()], [], [], POLL_SECONDS)
            if self._ended in readable:
                self._ended.recv(1 << 12)
            self._reap()
            if self._listener in readable:
                client, _ = self._listener.accept()
                request = self._begin(client)
                if request:
                    return request
            for pid, client in list(self._clients.items()):
                if client in readable:
                    self._pass_on(pid, client)
        return None

    def _begin(self, client: socket.socket) -> tuple[Any, ...] | None:
        header, streams, _, _ = socket.recv_fds(client, LENGTH_BYTES, 3)
        body = client.recv(int.from_bytes(header, "little"), socket.MSG_WAITALL)
        pid = os.fork()
        if pid:
            self._clients[pid] = client
            for stream in streams:
                os.close(stream)
            return None
        signal.set_wakeup_fd(-1)
        for other in (self._listener, self._ended, self._wakes, client, *self._clients.values()):
            other.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        request: tuple[Any, ...] = marshal.loads(body)  # noqa: S302 - the tests' own
        return request

    def _pass_on(self, pid: int, client: socket.socket) -> None:
        """Pass on the signals that a client was sent; where it is gone, end the run and what it has started."""
        numbers = client.recv(64)
        with suppress(ProcessLookupError):
            for number in numbers:
                os.kill(pid, number)
            if not numbers:
                os.killpg(pid, signal.SIGKILL)
        if not numbers:
            self._clients.pop(pid).close()

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if client := self._clients.pop(pid, None):
                    with suppress(OSError):
                        code = os.waitstatus_to_exitcode(status)
                        client.sendall(code.to_bytes(LENGTH_BYTES, "little", signed=True))
                    client.close()


def become(request: tuple[Any, ...]) -> NoReturn:
    """Be what a fresh interpreter is when the command begins, and run it."""
    arguments, environment, folder, umask, limits = request
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.umask(umask)
    for kind, limit in enumerate(limits):
        if resource.getrlimit(kind) != limit:
            resource.setrlimit(kind, limit)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    locale.setlocale(locale.LC_CTYPE, "")
    open_standard_streams()
    sys.orig_argv = arguments
    if arguments[1] == "-m":
        sys.argv = arguments[2:]
        sys.path[0] = folder
        run_to_end(lambda: runpy.run_module(arguments[2], run_name="__main__", alter_sys=True))
    sys.argv = arguments[1:]
    sys.path[0] = str(Path(arguments[1]).parent)
    run_to_end(lambda: runpy.run_path(arguments[1], run_name="__main__"))


def run_to_end(command: Callable[[], object]) -> NoReturn:
    """Run a command, and end this process as an interpreter ends, but for taking apart what has been imported.

    To take it apart is to copy most of it, and more than half of what a short run takes.
    """
    code = 0
    try:
        command()
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        code = end.code or 0
    finally:
        gc.unfreeze()  # should it be taken apart after all: in its order
    private: Any = (threading, atexit)  # there is no public way
    private[0]._shutdown()
    private[1]._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)  # as ever: the interpreter says so
    os._exit(code & 0xFF)


def open_standard_streams() -> None:
    """Open what Python reads and writes anew, as it does when it starts."""
    encoding = sys.stdout.encoding
    for name, number, mode, errors in (
        ("stdin", 0, "r", sys.stdin.errors),
        ("stdout", 1, "w", sys.stdout.errors),
        ("stderr", 2, "w", "backslashreplace"),
    ):
        buffering = 1 if name == "stderr" or os.isatty(number) else -1
        stream = open(number, mode, buffering, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115 - as long as the process
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def main() -> None:
    """Import the modules, and serve."""
    path = Path(sys.argv[1])
    server = None
    try:
        for module in sys.argv[2:]:
            with suppress(ImportError):  # another version of the command may do without it
                importlib.import_module(module)
        # No run is to look through, and so to copy, what was imported.
        gc.collect()
        gc.freeze()
        if threading.active_count() == 1:  # a fork would lose the other threads
            server = Server(path)
    finally:
        if server is None:
            with suppress(OSError):  # the tests are over
                path.with_suffix(".failed").touch()
    request = server and server.serve()
    if request:
        become(request)


if __name__ == "__main__":
    main()
