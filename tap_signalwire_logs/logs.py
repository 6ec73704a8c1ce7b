"""What travels from the network thread to the main thread: a log, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_signalwire_logs.errors import RequestError

    Fields = Any
    """Typed values of a log (`records.DecodedRecord.fields`)."""


class Log(msgspec.Struct, gc=False):
    """A log on its way.

    Args:
        log_id: Its ID.
        created: created_at in microseconds since 1970; None where only the ID is known.
        entry: The JSON of its list entry, where the list showed it in this run.
        is_discovered: Whether the list showed it, so that the bookmark passes it.
        is_swept: Whether a sweep found it in a bucket that differs.
    """

    log_id: str
    created: int | None = None
    entry: bytes | None = None
    is_discovered: bool = False
    is_swept: bool = False


class Outcome(msgspec.Struct):
    """What came of a log.

    Args:
        log: The log.
        records: Its records, each a JSON object that keeps the promises of the schema.
        fields: The log's typed values; None where nothing of it is known.
        error: Why its get had no answer. With `fields`, its list entry stands in for it.
        digest: Fingerprint of the records; empty where nobody will compare it.
        is_final: Whether the service will change the log no more.
        is_written: Whether the records are written.
        is_refreshed: Whether an earlier run wrote records of the log.
    """

    log: Log
    records: Sequence[bytes] = ()
    fields: Fields = None
    error: RequestError | None = None
    digest: str = ""
    is_final: bool = False
    is_written: bool = False
    is_refreshed: bool = False


class DoneLogs(msgspec.Struct):
    """Listed logs in a row that are not fetched again, each with its list entry as its record: none needs a look.

    Args:
        created: created_at of each, ascending, in microseconds since 1970.
        ids: Their IDs.
        records: Their records, JSON objects that keep the promises of the schema.
    """

    created: Sequence[int]
    ids: Sequence[str]
    records: Sequence[bytes]

    def part(self, start: int, end: int) -> DoneLogs:
        """Those in the places from `start` up to `end`."""
        return DoneLogs(self.created[start:end], self.ids[start:end], self.records[start:end])


class WindowClosed(NamedTuple):
    """Every log of a window, and all that come before it, have been handed over.

    Args:
        newest: The latest created_at among the window's logs; None where it held none.
    """

    newest: int | None


class RangeUnread(NamedTuple):
    """A range of created_at, [start, end), of whose list not all could be read; `error` says why."""

    start: int
    end: int
    error: Exception


class RangeRetried(NamedTuple):
    """All of a range was asked for; what could not be read of it was said before."""

    start: int
    end: int


class BucketSwept(NamedTuple):
    """Every swept log of [start, end), which differed from what was emitted, has been handed over.

    Args:
        start: Inclusive.
        end: Exclusive; None for the bucket that is open.
        fewer: Logs that were emitted and are not listed any more.
    """

    start: int
    end: int | None
    fewer: int


class SweptUntil(NamedTuple):
    """The sweep has compared everything before an instant; None once it is complete."""

    instant: int | None


Mark: TypeAlias = "WindowClosed | RangeUnread | RangeRetried | BucketSwept | SweptUntil"
Item: TypeAlias = "Outcome | DoneLogs | Mark"


def count(item: Item) -> int:
    """Logs or marks in an item."""
    return len(item.ids) if isinstance(item, DoneLogs) else 1


class Batch(NamedTuple):
    """Items in order, and how far through the run they are (0 to 1)."""

    items: list[Item]
    share: float
