"""The tap's command started by a fork of a process that has imported it, instead of by a new interpreter.

What a test holds is a `subprocess.Popen` of a child of its own: signals, exit codes, pipes, folder and environment are
those of any process. Where the way of starting could show (the interpreter's own options or variables, a `preexec_fn`,
a command of another shape), and where there are no subreapers, a new interpreter is started as ever.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.warm.sitecustomize import READ_AT_START

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "tap_signalwire_logs"]
PR_SET_CHILD_SUBREAPER = 36
START_SECONDS = 60
CLOCK = Path(__file__).parent / "clock"

RealPopen = subprocess.Popen

_enabled = True


def set_enabled(enabled: bool) -> None:
    """Say whether the command is started by a fork from now on."""
    global _enabled  # noqa: PLW0603 - `Popen` takes the place of another class, whose arguments it has
    _enabled = enabled


class Popen(RealPopen):  # type: ignore[type-arg]  # takes its place, whatever its streams are of
    """A `subprocess.Popen` that starts the tap's command by a fork."""

    def _execute_child(self, *arguments: Any) -> None:
        start: Any = super()._execute_child  # type: ignore[misc]  # the one place of it that starts a process
        asked = inspect.signature(start).bind(*arguments).arguments
        parent = _parent() if _can_be_forked(asked) else None
        if parent is None or parent.read_at_start != _read_at_start(asked["env"]):
            start(*arguments)
            return
        ends = {name: asked[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")}
        standard = (ends["p2cread"], ends["c2pwrite"], ends["errwrite"])
        try:
            self.pid = parent.start(
                {
                    "arguments": [os.fspath(argument) for argument in asked["args"][len(COMMAND) :]],
                    "environment": dict(os.environ if asked["env"] is None else asked["env"]),
                    "folder": os.fspath(asked["cwd"] or Path.cwd()),
                    "new_session": asked["start_new_session"],
                },
                [own if given == -1 else given for own, given in enumerate(standard)],
            )
            self._child_created = True
        finally:
            self._close_pipe_fds(*ends.values())  # type: ignore[attr-defined]  # as `_execute_child` does


class _Parent:
    """The process that forks, reached through a socket."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._socket = ours
        self._turn = threading.Lock()
        self.read_at_start = _read_at_start()
        self._process = RealPopen(
            [sys.executable, "-m", "tests.support.warm_parent", str(theirs.fileno())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        ours.settimeout(START_SECONDS)
        # Where the tap can't be imported, nothing comes, and the command itself says why.
        self.is_ready = ours.recv(16) == b"ready"

    def start(self, request: dict[str, Any], standard: list[int]) -> int:
        """Start a run with these standard descriptors; gives the ID of a process that is a child of this one."""
        with self._turn:
            _set_subreaper(1)
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode()], standard)
                return int(self._socket.recv(32))
            finally:
                _set_subreaper(0)

    def end(self) -> None:
        """End the process; runs that it started go on."""
        self._socket.close()
        self._process.wait(START_SECONDS)


@cache
def _parent() -> _Parent | None:
    parent = _Parent()
    return parent if parent.is_ready else None


def close() -> None:
    """End the process that forks, if there is one."""
    if _parent.cache_info().currsize and (parent := _parent()):
        parent.end()
    _parent.cache_clear()


def _can_be_forked(asked: dict[str, Any]) -> bool:
    """Whether a fork would be no different from a new interpreter."""
    args = asked["args"]
    plain: dict[str, Any] = {"preexec_fn": None, "pass_fds": (), "executable": None, "shell": False, "close_fds": True}
    plain |= {"gid": None, "gids": None, "uid": None, "umask": -1, "process_group": -1, "restore_signals": True}
    return (
        _enabled
        and sys.platform == "linux"
        and not isinstance(args, (str, bytes, os.PathLike))
        and list(args[: len(COMMAND)]) == COMMAND
        and all(asked.get(name, value) == value for name, value in plain.items())
    )


def _read_at_start(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    variables = os.environ if environment is None else environment
    found = {name: value for name, value in variables.items() if name.startswith(READ_AT_START)}
    found.pop("PYTHONDONTWRITEBYTECODE", None)  # a fork compiles nothing
    # The folder that moves the clock of a new interpreter: a fork's clock is moved by its parent.
    path = [folder for folder in found.pop("PYTHONPATH", "").split(os.pathsep) if folder not in {"", str(CLOCK)}]
    return {**found, "PYTHONPATH": os.pathsep.join(path)}


def _set_subreaper(on: int) -> None:
    """Say whether children of this process's children that lose their parent become its own."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")
