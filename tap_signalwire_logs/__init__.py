"""Singer tap for the logs of a SignalWire Space."""
