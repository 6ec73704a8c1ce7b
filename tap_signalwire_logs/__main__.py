"""`python -m tap_signalwire_logs`: the same command as `tap-signalwire-logs`."""

from tap_signalwire_logs.tap import TapSignalWireLogs

if __name__ == "__main__":
    TapSignalWireLogs.cli()
