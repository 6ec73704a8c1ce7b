"""The command as a process: its descriptors, and what it does before and after the tap."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from tap_signalwire_logs import __version__
from tap_signalwire_logs.late_imports import late_imports

if TYPE_CHECKING:
    from tap_signalwire_logs.tap import TapSignalWireLogs

FOR_TARGETS = ("joblib", "upath")
"""What singer-sdk imports to drain sinks in parallel, and for the files of BATCH messages."""


def run(arguments: list[str]) -> None:
    """Run the command line; a version is told without loading what it takes to run."""
    if not _has_output():
        sys.exit(1)
    try:
        if arguments == ["--version"]:
            _tell_version()
        else:
            _load_tap().cli.main(arguments)
    except OSError as error:
        _end_for_output(error)
    finally:
        _flush()


def _load_tap() -> type[TapSignalWireLogs]:
    """Import the tap, with less to do than importing it takes: a quarter of the start.

    Neither the collections of garbage that so many new objects set off, nor what the SDK imports for targets alone.
    """
    gc.disable()
    with late_imports(*FOR_TARGETS):
        from tap_signalwire_logs.tap import TapSignalWireLogs  # noqa: PLC0415 - a fifth of a second

    gc.freeze()  # Else the first new object would set off a look at all of them.
    gc.enable()
    return TapSignalWireLogs


def _tell_version() -> None:
    from importlib.metadata import version  # noqa: PLC0415 - not needed by a run

    print(f"tap-signalwire-logs v{__version__}, Meltano SDK v{version('singer-sdk')}")  # noqa: T201 - the command's output


def _has_output() -> bool:
    """Open what the caller closed, so that no socket gets a standard stream's number; tell if stdout is there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    if sys.stdout is None:
        sys.stderr.write("stdout is closed: there is nowhere to write Singer messages to\n")
        return False
    return True


def _flush() -> None:
    """Write what Python holds back, for what fails at the interpreter's end comes with a traceback."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _end_for_output(error)


def _end_for_output(error: OSError) -> NoReturn:
    """End with one line; what is left in the buffer goes nowhere."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
    if not isinstance(error, BrokenPipeError):
        sys.stderr.write(f"stdout: {error.strerror}\n")
    sys.exit(1)
