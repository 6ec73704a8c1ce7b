"""The tap beside its peers: `uv run poe bench [JOB ...]`."""
