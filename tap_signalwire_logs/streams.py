"""The streams: one class for each row of `families`."""

from __future__ import annotations

from dataclasses import fields

from tap_signalwire_logs.families import FAMILIES, Family
from tap_signalwire_logs.finality import Finality
from tap_signalwire_logs.log_stream import LogStream


def _stream_class(family: Family) -> type[LogStream]:
    facts = {fact.name: getattr(family, fact.name) for fact in fields(family)}
    facts |= {"has_get": family.has_get, "finality": Finality(family)}
    name = "".join(word.title() for word in family.name.split("_"))
    return type(f"{name}Stream", (LogStream,), {**facts, "__module__": __name__})


STREAMS: list[type[LogStream]] = [_stream_class(family) for family in FAMILIES]
