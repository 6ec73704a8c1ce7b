"""`tap-signalwire-logs`, and `python -m tap_signalwire_logs`."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version


def main() -> None:
    """Run the command; a version is told without loading what it takes to run."""
    if sys.argv[1:] == ["--version"]:
        print(f"tap-signalwire-logs v{version('tap-signalwire-logs')}, Meltano SDK v{version('singer-sdk')}")  # noqa: T201 - the command's output
        return
    try:
        from tap_signalwire_logs.tap import TapSignalWireLogs  # noqa: PLC0415 - half a second
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    TapSignalWireLogs.cli()


if __name__ == "__main__":
    main()
