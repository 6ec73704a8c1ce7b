"""Stands in for a command that a warm process runs: what a run then costs is a fork, not a start.

Each Python process of the tests begins with this, from `PYTHONPATH` or a `.pth` file. One that was started for a
command of `COMMANDS` hands its arguments, environment, folder, limits and standard streams to the process that has
imported it (`server.py`), passes signals on, and ends as the run ends. The first start makes that process and waits for
it, as it would for its own imports; where there can be none, the command starts as ever.
"""

from __future__ import annotations

import os
import sys

AIRFLOW = ("airflow_ahead",)
COMMANDS: dict[str, tuple[str, ...]] = {
    "airflow": AIRFLOW,
    "airflow_script": AIRFLOW,
    "dbt": (
        *("dbt.cli.main", "dbt.task.build", "babel.dates", "dbt_common.clients.agate_helper"),
        *("google.protobuf.descriptor_pb2", "sqlparse"),
    ),
    "meltano": (
        *("meltano.cli", "alembic.command", "anyio._backends._asyncio"),
        *("sqlalchemy.dialects.mssql", "sqlalchemy.dialects.sqlite"),
    ),
    "tap-signalwire-logs": ("tap_signalwire_logs.tap", "tap_signalwire_logs.client"),
    "tap-signalwire-logs-verify": ("tap_signalwire_logs.verify",),
    "tap_signalwire_logs": ("tap_signalwire_logs.tap", "tap_signalwire_logs.client"),
    "tap_signalwire_logs.verify": ("tap_signalwire_logs.verify",),
    "target-bigquery-strict": ("target_bigquery.target",),
    # All but duckdb: where that was imported before the fork, a run now and then ended in an abort.
    "target-duckdb": ("dateutil.parser", "importlib.metadata", "jsonschema", "logging.config", "uuid"),
    "target-jsonl": ("target_jsonl",),
    "target-postgres": ("target_postgres.target",),
}
"""Commands, as scripts or behind `-m`, and the modules that are imported for each."""

READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "OPENSSL_", "SSL_")
"""Beginnings of the names of variables that the interpreter or its libraries read once, when they start."""
READ_AT_IMPORT: dict[tuple[str, ...], str] = {AIRFLOW: "AIRFLOW"}
"""Beginnings of those that modules read as they are imported."""

LENGTH_BYTES = 8
START_SECONDS = 60


def _command() -> str | None:
    """The command that this process was started for, where it is one of `COMMANDS`."""
    arguments = sys.orig_argv
    if arguments[1:2] == ["-m"]:
        name, is_ours = "".join(arguments[2:3]), True
    else:
        folder, _, name = "".join(arguments[1:2]).rpartition("/")
        # The environment may be reached through a link.
        is_ours = os.path.realpath(folder) == f"{os.path.realpath(sys.prefix)}/bin"
    return name if is_ours and name in COMMANDS else None


def _stand_in(command: str, folder: str) -> None:
    from binascii import crc32

    modules = COMMANDS[command]
    read = (*READ_AT_START, READ_AT_IMPORT.get(modules, READ_AT_START[0]))
    start = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(read)]
    # Links to one environment are the same one.
    python = f"{os.path.realpath(sys.prefix)}/bin/{sys.executable.rpartition('/')[2]}"
    key = "\0".join([python, *modules, *start])
    path = f"{folder}/{crc32(os.fsencode(key)):08x}"
    if _is_there(path, python, modules):
        _hand_over(path)


def _hand_over(path: str) -> None:
    """Let the warm process run the command, and end as the run ends; comes back where that can't be."""
    import marshal
    import resource
    import signal
    import socket

    try:
        for stream in range(3):
            os.fstat(stream)  # none is closed
        process = socket.socket(socket.AF_UNIX)
        process.connect(path)
    except OSError:
        return
    limits = [resource.getrlimit(number) for number in range(resource.RLIMIT_AS + 1)]
    umask = os.umask(0)
    os.umask(umask)
    request = marshal.dumps((sys.orig_argv, dict(os.environ), os.getcwd(), umask, limits))  # noqa: PTH109 - a path costs an import
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: process.sendall(bytes((number,))))
    socket.send_fds(process, [len(request).to_bytes(LENGTH_BYTES, "little")], [0, 1, 2])
    process.sendall(request)
    # The run alone holds the streams from here on.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    code = process.recv(LENGTH_BYTES)
    _end_as(int.from_bytes(code, "little", signed=True) if code else -signal.SIGKILL)


def _end_as(code: int) -> None:
    """End with an exit code, or by a signal where it is negative."""
    import signal

    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _is_there(path: str, python: str, modules: tuple[str, ...]) -> bool:
    """Whether the warm process is there, once it has been made."""
    import time

    if os.access(path, os.W_OK):
        return True
    try:
        os.close(os.open(f"{path}.first", os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    except OSError:
        return False  # the folder is gone: the tests are over
    else:
        _start_server(path, python, modules)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and not os.access(f"{path}.failed", os.F_OK):
        if os.access(path, os.W_OK):
            return True
        time.sleep(0.02)
    return False


def _start_server(path: str, python: str, modules: tuple[str, ...]) -> None:
    """Start it as nobody's child, with nothing of this process's but its environment."""
    server = __file__.replace("sitecustomize.py", "server.py")
    streams = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    arguments = [python, server, path, *modules]
    if not os.fork():
        os.setsid()
        os.posix_spawn(python, arguments, {**os.environ, "TESTS_WARM": ""}, file_actions=streams)
        os._exit(0)
    os.wait()


if (_folder := os.environ.get("TESTS_WARM")) and (_found := _command()):
    _stand_in(_found, _folder)
