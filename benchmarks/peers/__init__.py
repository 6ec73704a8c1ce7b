"""The tap's peers: each a script with an environment of its own.

Arguments of each: the file of the Space's settings, `list` or `get`, the most requests in flight, and where the records
go. What a tool can't do side by side, it does one after another.
"""
