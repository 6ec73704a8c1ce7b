"""What a run leaves to the next: the bookmark, the logs still waiting for their final status, those emitted lately.

    {"replication_key": "created_at",
     "replication_key_value": "2026-01-31T08:00:00Z",          created_at of the newest log in a closed window
     "waiting": {ID: [created_at, fingerprint, looks]},        with the time of the last look once looks are spaced out
     "recent": {ID: created_at}}                               logs done with, which the next lookback meets again

A STATE is only ever a snapshot made when a window closed, so a STATE written at any other moment repeats the last one.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from tap_signalwire_logs.instants import parse_instant, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    Record = dict[str, Any]

MOST_REMEMBERED = 4_800
"""Waiting logs that a STATE may hold, and as many recent ones: together less than the 1 MB that it may have."""

FREE_LOOKS = 36
"""Looks at a waiting log that found it unchanged, before looks are spaced out."""

LOOK_AGAIN_SHARE = 0.1
"""After the free looks, the next comes when this share of the age at the last look has passed."""


@dataclass
class Waiting:
    """A log that was not final when it was last emitted."""

    created: int
    fingerprint: str
    looks: int = 0
    looked: int | None = None

    def is_due(self, now: int, refresh: int) -> bool:
        """Whether this run looks at it again; at the end of its refresh time there is one last look."""
        if self.looks < FREE_LOOKS or self.looked is None or now - self.created >= refresh:
            return True
        return now - self.looked >= (self.looked - self.created) * LOOK_AGAIN_SHARE


class LogState:
    """One stream's state during a run.

    Args:
        stored: The stream's part of Singer's state; it is read once, and replaced by `commit`.
        now: The run's start, in microseconds since 1970, as are all instants here.
        lookback: Microseconds before the bookmark at which a run begins.
        refresh: Microseconds from its creation for which a log that is not final is fetched again.
        lists_again: Whether waiting logs are looked at by listing from the oldest on, for there is no get.
        shared_by: Streams that share a STATE message's room.
    """

    def __init__(
        self,
        stored: dict[str, Any],
        *,
        replication_key: str,
        now: int,
        lookback: int,
        refresh: int,
        lists_again: bool = False,
        shared_by: int = 1,
    ) -> None:
        """Read what the last run left; what can't be read is left out, at the price of fetching more."""
        self._stored = stored
        self._replication_key = replication_key
        self._now = now
        self._lookback = lookback
        self._refresh = refresh
        self._lists_again = lists_again
        self._most = MOST_REMEMBERED // shared_by
        self.bookmark = _instant(stored.get("replication_key_value"))
        self._held: int | None = None
        self.waiting: dict[str, Waiting] = {}
        for log_id, (created, *rest) in _entries(stored.get("waiting")):
            self.waiting[log_id] = Waiting(created, *_fingerprint_and_looks(rest))
        for log_id in list(self.waiting)[self._most :]:
            self._hold(self.waiting.pop(log_id).created)
        self._recent: deque[tuple[int, str]] = deque(maxlen=self._most)
        for log_id, (created, *_) in _entries(stored.get("recent")):
            self._recent.append((created, log_id))
        self._next_from = self.discover_from or 0
        self._emitted_before = frozenset(log_id for _, log_id in self._recent)

    @property
    def discover_from(self) -> int | None:
        """Where discovery begins, or None where no run closed a window yet."""
        return None if self.bookmark is None else self._lists_from(self.bookmark)

    def due(self) -> list[tuple[int, str]]:
        """Waiting logs to look at in this run, by created_at and ID."""
        return sorted(
            (log.created, log_id) for log_id, log in self.waiting.items() if log.is_due(self._now, self._refresh)
        )

    def needs_no_fetch(self, log_id: str) -> bool:
        """Whether a discovered log was emitted before and is done with, or waits and is not due."""
        if log_id in self._emitted_before:
            return True
        log = self.waiting.get(log_id)
        return log is not None and not log.is_due(self._now, self._refresh)

    def is_unchanged(self, log_id: str, records: list[Record], *, is_final: bool) -> bool:
        """Whether what a waiting log has is as it was when it was last emitted; the look is noted."""
        log = self.waiting.get(log_id)
        if log is None or log.fingerprint != fingerprint(records):
            return False
        if is_final or self._now - log.created >= self._refresh:
            self._done_with(log_id, log.created)
            return True
        log.looks += 1
        log.looked = self._now
        return True

    def emitted(self, log_id: str, created: int, records: list[Record], *, is_final: bool) -> None:
        """Note that what a log has, has been written."""
        if is_final or self._now - created >= self._refresh:
            self._done_with(log_id, created)
        elif log_id in self.waiting or len(self.waiting) < self._most:
            self.waiting[log_id] = Waiting(created, fingerprint(records))
        else:
            self._hold(created)

    def _hold(self, created: int) -> None:
        """Keep the bookmark at a log that the state has no room for: the next run lists again from there on."""
        self._held = created if self._held is None else min(self._held, created)

    def _done_with(self, log_id: str, created: int) -> None:
        self.waiting.pop(log_id, None)
        if created >= self._next_from:
            self._recent.append((created, log_id))

    def _lists_from(self, bookmark: int) -> int:
        """Where the run after one that left a bookmark begins to list."""
        oldest = [log.created for log in self.waiting.values()] if self._lists_again else []
        return min([bookmark - self._lookback, *oldest])

    def forget(self, log_id: str) -> None:
        """Wait no longer for a log that the service no longer has."""
        self.waiting.pop(log_id, None)

    def commit(self, newest: int | None) -> None:
        """Close a window whose newest log was created at `newest` (None where it held none): the bookmark moves."""
        if newest is not None and (self.bookmark is None or newest > self.bookmark):
            self.bookmark = newest
        bookmark = self.bookmark
        if bookmark is not None and self._held is not None:
            bookmark = min(bookmark, self._held)
        self._next_from = 0 if bookmark is None else self._lists_from(bookmark)
        self._stored.clear()
        if bookmark is not None:
            self._stored["replication_key"] = self._replication_key
            self._stored["replication_key_value"] = to_text(bookmark)
        if self.waiting:
            ordered = sorted(self.waiting.items(), key=lambda item: (item[1].created, item[0]))
            self._stored["waiting"] = {log_id: _waiting_entry(log) for log_id, log in ordered}
        recent = {log_id: to_text(created) for created, log_id in sorted(self._recent) if created >= self._next_from}
        if recent:
            self._stored["recent"] = recent


def fingerprint(records: list[Record]) -> str:
    """Short digest of the whole content of records."""
    return hashlib.blake2b(_encode(records), digest_size=8).hexdigest()


_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


def _waiting_entry(log: Waiting) -> list[Any]:
    entry: list[Any] = [to_text(log.created), log.fingerprint, log.looks]
    if log.looks >= FREE_LOOKS and log.looked is not None:
        entry.append(to_text(log.looked))
    return entry


def _entries(stored: object) -> Iterator[tuple[str, list[Any]]]:
    """Entries of a stored mapping, with the first value as an instant; those without one are passed over."""
    for log_id, value in stored.items() if isinstance(stored, dict) else ():
        values = value if isinstance(value, list) and value else [value]
        created = _instant(values[0])
        if created is not None:
            yield log_id, [created, *values[1:]]


def _fingerprint_and_looks(rest: list[Any]) -> tuple[str, int, int | None]:
    digest, looks, looked = (*rest, None, None, None)[:3]
    return (
        digest if isinstance(digest, str) else "",
        looks if isinstance(looks, int) else 0,
        _instant(looked),
    )


def _instant(text: object) -> int | None:
    try:
        return parse_instant(text)
    except ValueError:
        return None
