"""JSON schema of each stream's records."""
