"""What the pages of a list show: entries, read a whole page at a time where they are plain."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from tap_signalwire_logs.instants import SECOND, to_micros
from tap_signalwire_logs.pagination import SAFE_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_signalwire_logs.finality import Finality
    from tap_signalwire_logs.records import RecordDecoder

Entry: TypeAlias = "tuple[int, str, bytes, bool | None]"
"""A log that the list showed: created_at (the window's start where it has none), ID, its JSON, and whether it is final.

None for one whose JSON is not its record, or needs a look before it is.
"""


class ListEntry(msgspec.Struct, frozen=True):
    """What every entry of a list has, whatever its family."""

    id: Any = None
    created_at: Any = None


decode_entry = msgspec.json.Decoder(ListEntry).decode


class EntryReader:
    """Reads the entries of a page that lead to a request each."""

    def read(self, jsons: Sequence[bytes]) -> list[Entry] | None:
        """The entries; None where one has no ID that a request could name, or no whole second of UTC."""
        try:
            entries = _decode_plain(b"[%b]" % b",".join(jsons))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        ids = [entry.id for entry in entries]
        created = _in_micros([entry.created_at for entry in entries])
        # A fraction of more digits than microseconds have is rounded by the decoder.
        if created is None or any(at % SECOND for at in created) or not all(map(SAFE_ID.fullmatch, ids)):
            return None
        return list(zip(created, ids, jsons, repeat(None)))


class RecordEntryReader(EntryReader):
    """Reads the entries of a page that are records themselves, and tells those that are final.

    Args:
        decoder: Makes records of them; their IDs are UUIDs.
        finality: Says which logs are final.
    """

    def __init__(self, decoder: RecordDecoder, finality: Finality) -> None:
        self._decoder = decoder
        self._finality = finality

    def read(self, jsons: Sequence[bytes]) -> list[Entry] | None:
        """The same; where all entries fit their schema as they are, with whether each is final."""
        logs = self._decoder.fields_of(jsons)
        if not logs:
            return super().read(jsons)
        ids, texts = list(map(_id_of, logs)), list(map(_created_of, logs))
        if {*map(type, ids), *map(type, texts)} != {str}:
            return super().read(jsons)
        created = _in_micros(_decode_instants(msgspec.json.encode(texts)))
        return None if created is None else list(zip(created, ids, jsons, self._finality.of(logs), strict=True))


class _PlainEntry(msgspec.Struct, gc=False):
    """What nearly every entry is like."""

    id: str
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]


_decode_plain = msgspec.json.Decoder(list[_PlainEntry]).decode
_decode_instants = msgspec.json.Decoder(list[Annotated[datetime, msgspec.Meta(tz=True)]]).decode
_id_of, _created_of = attrgetter("id"), attrgetter("created_at")


def _in_micros(instants: Sequence[datetime]) -> list[int] | None:
    """Date-times in microseconds since 1970; None where one is not in UTC."""
    if {at.tzinfo for at in instants} - {timezone.utc}:
        return None
    seconds = list(map(datetime.timestamp, instants))
    if all(map(float.is_integer, seconds)):
        return [int(at) * SECOND for at in seconds]
    return list(map(to_micros, instants))
