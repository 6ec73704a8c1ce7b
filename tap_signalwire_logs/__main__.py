"""`tap-signalwire-logs`, and `python -m tap_signalwire_logs`."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def main() -> None:
    """Run the command; a signal ends it without a traceback from here on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_at_once)
    # Loading what it takes to run is most of the time until the tap deals with signals itself.
    from tap_signalwire_logs.cli import run  # noqa: PLC0415

    run(sys.argv[1:])


def _end_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler is given both
    """End: nothing has been written that could be left half done."""
    os._exit(128 + number)


if __name__ == "__main__":
    main()
