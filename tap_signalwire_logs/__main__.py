"""`tap-signalwire-logs`, and `python -m tap_signalwire_logs`."""

import os
import signal


def _end_at_once(number: int, frame: object) -> None:  # noqa: ARG001 - a signal handler is given both
    """End: nothing has been written that could be left half done."""
    os._exit(128 + number)


# Before anything else is loaded, which takes most of the time until the tap deals with signals itself.
for _number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(_number, _end_at_once)


def main() -> None:
    """Run the command."""
    import sys  # noqa: PLC0415 - after the signals

    from tap_signalwire_logs.cli import run  # noqa: PLC0415 - the same

    run(sys.argv[1:])


if __name__ == "__main__":
    main()
