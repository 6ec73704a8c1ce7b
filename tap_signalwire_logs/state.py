"""What a run leaves to the next: the bookmark, the logs that are not final, those emitted lately, what was not read.

    {"replication_key": "created_at",
     "replication_key_value": "2026-01-31T08:00:00Z",    created_at of the newest log emitted with all before it
     "revision": 7,                                      counts the states that were written
     "waiting": {ID: [created_at, fingerprint, checks, revision, checked_at, failing_since, not_found, is_rare]},
     "recent": {ID: created_at},                         logs done with, which the next lookback meets again
     "unread": [[start, end, since]],                    ranges of created_at that could not be read
     "digests": "1.…"}                                   what was emitted, for the next sweep (`digests`)

Trailing nulls of an entry are left out. Orchestrators merge an older state into this one key by key, as Meltano does
after a failed run: entries that had been left out come back then. They are told by their revision, and dropped.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from tap_signalwire_logs.digests import MAX_CHARS, Digests
from tap_signalwire_logs.exact_json import decode_json
from tap_signalwire_logs.instants import EARLIEST, SECOND, parse_instant, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_REMEMBERED = 3_600
"""Pending logs that a STATE may hold, and as many recent ones: together less than the 1 MB that it may have."""

MAX_UNREAD = 400
"""Ranges that a STATE may hold; past that, neighbours become one."""

CHECKS_BEFORE_BACKOFF = 36
"""Checks of a pending log that found it unchanged, before they are spaced out."""

BACKOFF_SHARE = 0.1
"""Share of a log's age at its last check after which the next one comes."""

HOUR = 3_600 * SECOND
PLACE_OF_REVISION = 3
"""Where an entry of `waiting` has the revision."""

RARE_AGE = 600 * SECOND
"""Age at which a log that will hardly ever change again is checked; the next time when that has doubled, and so on."""

RUNS_TO_BE_GONE = 2
"""Runs in which the service must say that a log does not exist, before it counts as gone."""


@dataclass(frozen=True)
class PendingLog:
    """A log that was not final when it was last emitted, or whose get is still to be answered.

    Args:
        created: created_at.
        fingerprint: That of the records that were emitted; empty where none were.
        checks: Checks that found it unchanged.
        checked: The time of the last one.
        failing_since: Since when its get has had no answer.
        not_found: Runs in which the service said that it does not exist.
    """

    created: int
    fingerprint: str
    checks: int = 0
    checked: int | None = None
    failing_since: int | None = None
    not_found: int = 0
    is_rare: bool = False

    def is_due(self, now: int, refresh: int) -> bool:
        """Whether a run checks it again; at the end of its refresh time there is one last check."""
        age = now - self.created
        if self.failing_since is not None or self.not_found or age >= refresh:
            return True
        if self.is_rare:
            return age >= RARE_AGE << self.checks
        if self.checks < CHECKS_BEFORE_BACKOFF or self.checked is None:
            return True
        return now - self.checked >= (self.checked - self.created) * BACKOFF_SHARE

    def after_check(self, now: int, *, is_rare: bool) -> PendingLog:
        """The log after one more check that found it unchanged."""
        checks = self.checks + 1
        if is_rare:
            checks = max(checks, ((now - self.created) // RARE_AGE).bit_length())
        return PendingLog(self.created, self.fingerprint, checks, now, is_rare=is_rare)


class LogState:
    """One stream's state during a run. Instants are microseconds since 1970.

    Args:
        stored: The stream's part of Singer's state; it is read once, and replaced by `save`.
        replication_key: The name of the replication key.
        now: The run's start.
        lookback: Microseconds before the bookmark at which a run begins.
        refresh: Microseconds for which a log that is not final is fetched again.
        lists_pending: Whether pending logs are checked by listing from the oldest on, for there is no get.
        shared_by: Streams that share a STATE message's room.
        sweeps: Whether digests of what is emitted are kept.
    """

    def __init__(
        self,
        stored: dict[str, Any],
        *,
        replication_key: str,
        now: int,
        lookback: int,
        refresh: int,
        lists_pending: bool = False,
        shared_by: int = 1,
        sweeps: bool = False,
    ) -> None:
        self.now = now
        self._stored = stored
        self._replication_key = replication_key
        self._lookback = lookback
        self._refresh = refresh
        self._lists_pending = lists_pending
        self._max = MAX_REMEMBERED // shared_by
        self.bookmark = _instant(stored.get("replication_key_value"))
        self._cap: int | None = None
        self._revision = _whole(stored.get("revision"))
        self.pending: dict[str, PendingLog] = dict(_pending_logs(stored.get("waiting"), self._revision))
        for log_id in list(self.pending)[self._max :]:
            self._cap_bookmark(self.pending.pop(log_id).created)
        self._recent: deque[tuple[int, str]] = deque(_recent_logs(stored.get("recent")), maxlen=self._max)
        self.unread: dict[tuple[int, int], int] = dict(_ranges(stored.get("unread"), now))
        """Since when each range could not be read."""
        self._failed_ranges: dict[tuple[int, int], int] = {}
        self.digests = Digests.load(stored.get("digests"), max_chars=MAX_CHARS // shared_by) if sweeps else None
        if self.digests is not None and "digests" not in stored and self.bookmark is not None:
            self.swept()  # an older version of the tap kept none
        start = self.discover_from
        self._next_start = EARLIEST if start is None else start
        self.emitted_before = frozenset(log_id for _, log_id in self._recent)
        """IDs of logs done with, which this run's lookback meets again."""

    @property
    def discover_from(self) -> int | None:
        """Where discovery begins, or None where no run has moved the bookmark yet."""
        return None if self.bookmark is None else self._start_after(self.bookmark)

    def set_now(self, now: int) -> None:
        """Take the run's start from the service's clock; a bookmark after it goes back to it."""
        self.now = now
        if self.bookmark is not None and self.bookmark > now:
            self.bookmark = now

    def ranges_to_read(self) -> tuple[int | None, list[tuple[int, int]]]:
        """Where discovery begins, and the ranges before that are to be read again; ranges that touch become one."""
        start = self.discover_from
        if start is None:
            return None, []
        ranges: list[tuple[int, int]] = []
        for begin, end in sorted(self.unread):
            if ranges and begin <= ranges[-1][1]:
                ranges[-1] = (ranges[-1][0], max(ranges[-1][1], end))
            else:
                ranges.append((begin, end))
        while ranges and ranges[-1][1] >= start:
            start = min(start, ranges.pop()[0])
        return start, ranges

    def is_unchanged(self, log_id: str, digest: str) -> bool:
        """Whether a pending log's records are those that were emitted."""
        log = self.pending.get(log_id)
        return log is not None and log.fingerprint == digest

    def is_past_refresh(self, created: int) -> bool:
        """Whether a log is too old to be fetched again, final or not."""
        return self.now - created >= self._refresh

    def checked(self, log_id: str, *, is_final: bool, is_rare: bool = False) -> None:
        """Note that a pending log was found unchanged."""
        log = self.pending[log_id]
        if is_final or self.is_past_refresh(log.created):
            self.done_with(log_id, log.created)
            return
        self.pending[log_id] = log.after_check(self.now, is_rare=is_rare)

    def emitted(self, log_id: str, created: int, digest: str, *, is_final: bool, is_rare: bool = False) -> None:
        """Note that a log's records, with this fingerprint, have been written."""
        if is_final or self.is_past_refresh(created):
            self.done_with(log_id, created)
        else:
            self._remember(log_id, PendingLog(created, digest, is_rare=is_rare))

    def done_with(self, log_id: str, created: int | None) -> None:
        """Note that a log is not fetched again."""
        self.pending.pop(log_id, None)
        if created is not None and created >= self._next_start:
            self._recent.append((created, log_id))

    def all_done_with(self, log_ids: Sequence[str], created: Sequence[int]) -> None:
        """Note of logs in the order of created_at that they are not fetched again."""
        for log_id in self.pending.keys() & log_ids:
            del self.pending[log_id]
        # The next run begins no earlier than after the bookmark as it is now.
        start = self._start_after(self._kept_bookmark or EARLIEST)
        first = bisect_left(created, max(start, self._next_start))
        self._recent.extend(zip(created[first:], log_ids[first:], strict=True))

    def failed(self, log_id: str, created: int, digest: str | None = None, *, is_not_found: bool = False) -> bool:
        """Note that a log's get had no answer; False where it is given up: gone, or its time is over.

        Args:
            log_id: The log.
            created: created_at.
            digest: Fingerprint of the records of its list entry, where those were written in its place.
            is_not_found: Whether the service said that it does not exist.
        """
        log = self.pending.get(log_id) or PendingLog(created, "")
        since = self.now if log.failing_since is None else log.failing_since
        not_found = log.not_found + 1 if is_not_found else 0
        if not_found >= RUNS_TO_BE_GONE or self.now - since >= self._refresh:
            self.done_with(log_id, created)
            return False
        written = log.fingerprint if digest is None else digest
        self._remember(log_id, replace(log, fingerprint=written, failing_since=since, not_found=not_found))
        return True

    def range_unread(self, start: int, end: int) -> bool:
        """Note that a range could not be read; False where its time is over."""
        inherited = [since for (begin, stop), since in self.unread.items() if begin < end and start < stop]
        since = min([self.now, *inherited])
        if inherited and self.now - since >= self._refresh:
            return False
        self._failed_ranges[start, end] = since
        return True

    def range_retried(self, start: int, end: int) -> None:
        """Note that all of a range was asked for again; what could not be read of it was noted before."""
        for begin, stop in list(self.unread):
            if start <= begin and stop <= end:
                del self.unread[begin, stop]

    def first_run_done(self) -> None:
        """Note that a run came to its end: a first one has just listed everything, so that no sweep is due."""
        if self.digests is not None and self.digests.swept is None:
            self.swept()

    def swept(self) -> None:
        """Note that what was emitted has just been compared; up to the full hour, so that runs repeat each other."""
        if self.digests is not None:
            self.digests.swept = -(-self.now // HOUR) * HOUR

    def advance(self, created: int | None) -> None:
        """Move the bookmark to the created_at of a log that was emitted with all before it; never past now."""
        if created is not None:
            created = min(created, self.now)
            if self.bookmark is None or created > self.bookmark:
                self.bookmark = created

    def save(self) -> None:
        """Write what is known now into the stream's part of Singer's state; nothing where that is there already."""
        content = self._content()
        if content == self._stored:
            return
        self._revision += 1
        content["revision"] = self._revision
        for entry in content["waiting"].values():
            entry[PLACE_OF_REVISION] = self._revision
        self._stored.clear()
        self._stored.update(content)

    def _content(self) -> dict[str, Any]:
        bookmark = self._kept_bookmark
        self._next_start = EARLIEST if bookmark is None else self._start_after(bookmark)
        content: dict[str, Any] = {}
        if bookmark is not None:
            content["replication_key"] = self._replication_key
            content["replication_key_value"] = to_text(bookmark)
        ordered = sorted(self.pending.items(), key=lambda item: (item[1].created, item[0]))
        content["revision"] = self._revision
        content["waiting"] = {log_id: _waiting_entry(log, self._revision) for log_id, log in ordered}
        content["recent"] = {
            log_id: to_text(created) for created, log_id in sorted(self._recent) if created >= self._next_start
        }
        content["unread"] = [
            [to_text(start), to_text(end), to_text(since)]
            for start, end, since in _bounded({**self.unread, **self._failed_ranges})
        ]
        if self.digests is not None:
            content["digests"] = self.digests.dump()
        return content

    @property
    def _kept_bookmark(self) -> int | None:
        """The bookmark as the state has it."""
        if self.bookmark is None or self._cap is None:
            return self.bookmark
        return min(self.bookmark, self._cap)

    def _cap_bookmark(self, created: int) -> None:
        """Keep the bookmark at a log that the state has no room for: the next run lists again from there on."""
        self._cap = created if self._cap is None else min(self._cap, created)

    def _remember(self, log_id: str, log: PendingLog) -> None:
        if log_id in self.pending or len(self.pending) < self._max:
            self.pending[log_id] = log
        else:
            self._cap_bookmark(log.created)

    def _start_after(self, bookmark: int) -> int:
        """Where the run after one that left a bookmark begins to list."""
        oldest = [log.created for log in self.pending.values()] if self._lists_pending else []
        return min([bookmark - self._lookback, *oldest])


def fingerprint(records: Sequence[bytes]) -> str:
    """Short digest of the whole content of records, whatever the order of their fields."""
    return hashlib.blake2b(_encode([decode_json(record) for record in records]), digest_size=8).hexdigest()


_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


def _waiting_entry(log: PendingLog, revision: int) -> list[Any]:
    entry: list[Any] = [
        to_text(log.created),
        log.fingerprint,
        log.checks,
        revision,
        to_text(log.checked // SECOND * SECOND) if log.checked and log.checks >= CHECKS_BEFORE_BACKOFF else None,
        None if log.failing_since is None else to_text(log.failing_since // SECOND * SECOND),
        log.not_found or None,
        log.is_rare or None,
    ]
    while entry[-1] is None:
        entry.pop()
    return entry


def _pending_logs(stored: object, revision: int) -> Iterator[tuple[str, PendingLog]]:
    """Pending logs of a stored mapping; those of another revision came back from an older state."""
    for log_id, values in stored.items() if isinstance(stored, dict) else ():
        entry = values if isinstance(values, list) else [values]
        created, digest, checks, written, checked, failing_since, not_found, is_rare = (*entry, *[None] * 8)[:8]
        if not revision:
            checked, written = written, revision  # an older version of the tap kept no revision
        instant = _instant(created)
        if instant is not None and written == revision:
            log = PendingLog(
                instant,
                digest if isinstance(digest, str) else "",
                _whole(checks),
                _instant(checked),
                _instant(failing_since),
                _whole(not_found),
                is_rare is True,
            )
            yield log_id, log


def _recent_logs(stored: object) -> Iterator[tuple[int, str]]:
    for log_id, value in stored.items() if isinstance(stored, dict) else ():
        created = _instant(value)
        if created is not None:
            yield created, log_id


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _ranges(stored: object, now: int) -> Iterator[tuple[tuple[int, int], int]]:
    for entry in stored if isinstance(stored, list) else ():
        instants = [_instant(text) for text in entry] if isinstance(entry, list) else []
        start, end, since = (*instants, None, None, None)[:3]
        if start is not None and end is not None and start < end:
            yield (start, end), now if since is None else since


def _bounded(ranges: dict[tuple[int, int], int]) -> list[tuple[int, int, int]]:
    """Ranges with their since, ascending; where they are too many, neighbours become one."""
    ordered = [(start, end, since) for (start, end), since in sorted(ranges.items())]
    while len(ordered) > MAX_UNREAD:
        pairs = zip(ordered[::2], [*ordered[1::2], ordered[-1]], strict=False)
        ordered = [(one[0], max(one[1], other[1]), min(one[2], other[2])) for one, other in pairs]
    return ordered


def _instant(text: object) -> int | None:
    try:
        return parse_instant(text)
    except ValueError:
        return None
