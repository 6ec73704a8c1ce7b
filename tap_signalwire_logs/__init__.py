"""Singer tap for the logs of a SignalWire Space."""

__version__ = "0.1.0"  # what the package's metadata say too, which take a thirtieth of the start to read
