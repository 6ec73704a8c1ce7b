"""What the target holds, in little: for each small bucket of time a count and a sum of the records' fingerprints.

A bucket begins at a whole second and ends where the next begins; the last one is open. What lies before the first is
taken for an empty one: whatever the list shows there differs, as does everything for digests that know nothing. Each
bucket has

    count   logs whose records were written
    sum     of their fingerprints, modulo 2**48 (a changed bucket looks equal once in 2.8e14 times)
    skew    what the list's own fingerprints sum up to, less that: 0 where list and get have one form. It is learned
            when the bucket is written, and the bucket is equal where the list sums up to sum + skew
    unknown whether the sum can't be relied on: such a bucket differs, whatever the list shows

Instants are microseconds since 1970, fingerprints integers of any size.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import struct
import sys
import zlib
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

from tap_signalwire_logs.instants import DAY, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Log = TypeVar("Log")

BUCKET_LOGS = 256
"""Logs in one bucket while the state has room: what one changed log costs at most."""

MAX_CHARS = 300_000
"""Characters of a dump, of the megabyte that a STATE may have: 31,000 buckets, or 320 logs a bucket for ten million."""

MAX_BUCKET_SECONDS = DAY // SECOND
"""Few logs make wide buckets. A sweep begins at a bucket's start: no more than this before its days."""

_FINGERPRINT_BYTES = 6
_MODULUS = 1 << (8 * _FINGERPRINT_BYTES)
_VERSION = "1."
_HEADER = struct.Struct("<IIIqqq")
_NONE = -(1 << 63)
_GROWTH = 1.5


def fingerprint(record: bytes | bytearray) -> int:
    """64 bits that tell a record's JSON from another."""
    return int.from_bytes(hashlib.blake2b(record, digest_size=8).digest(), "little")


class Rewritten(NamedTuple):
    """A log of a bucket that was written again."""

    created: int
    emitted: int | None
    """Fingerprint of the record as written; None where none was: the bucket then differs at the next sweep too."""
    listed: int
    """Fingerprint of its list entry."""


@dataclass(frozen=True)
class Compared(Generic[Log]):
    """A bucket, or a part of one that is known to differ, beside what the list shows in [start, end).

    Attributes:
        end: None for the last bucket, which is open.
        logs: What the list showed, in its order; empty where the bucket is equal.
        fewer: Logs that were written and are not listed any more.
    """

    start: int
    end: int | None
    differs: bool
    logs: Sequence[Log]
    fewer: int


class Known(NamedTuple):
    """What is known of the bucket [start, until), the last of which is open."""

    start: int
    until: int | None
    logs: int
    expected: int
    """What the fingerprints of the list's entries sum up to where nothing has changed."""
    is_unknown: bool


class Digests:
    """The buckets of one stream.

    Args:
        max_chars: The most that `dump` may give; beyond it neighbouring buckets become one.

    Attributes:
        cursor: The instant before which a sweep that is under way has compared; None where none is.
        swept: When the last whole sweep began; None before the first.
        newest: created_at of the newest log.
        bucket_logs: Logs at which a bucket is full: more than `BUCKET_LOGS` where the room is little.
    """

    def __init__(self, *, max_chars: int = MAX_CHARS) -> None:
        self.cursor: int | None = None
        self.swept: int | None = None
        self._max_chars = max_chars
        self.bucket_logs = BUCKET_LOGS
        self.newest = _NONE
        self._is_sealed = False
        self._edges = array("q")
        self._counts = array("Q")
        self._sums = array("Q")
        self._skews = array("Q")
        self._unknown = bytearray()

    @classmethod
    def load(cls, text: object, *, max_chars: int = MAX_CHARS) -> Digests:
        """Digests of a dump; of anything else, digests that know nothing: the next sweep writes all that is listed."""
        digests = cls(max_chars=max_chars)
        if isinstance(text, str) and text.startswith(_VERSION):
            try:
                digests._decode(base64.b64decode(text[len(_VERSION) :], validate=True))
            except (binascii.Error, struct.error, ValueError, zlib.error):
                return cls(max_chars=max_chars)
        return digests

    def dump(self) -> str:
        """The digests as one text of at most `max_chars`, with a checksum; neighbours are merged where it must be."""
        text = self._encode()
        if len(text) * _GROWTH**2 < self._max_chars:
            self.bucket_logs = max(int(self.bucket_logs / _GROWTH), BUCKET_LOGS)
        while len(text) > self._max_chars and len(self._edges) > 1:
            room = len(self._edges) * self._max_chars * 9 // (len(text) * 10)
            self._merge_to(max(min(room, len(self._edges) - 1), 1))
            text = self._encode()
        return text

    def __len__(self) -> int:
        """Buckets."""
        return len(self._edges)

    def __repr__(self) -> str:
        """Say how much is known."""
        return f"<Digests of {sum(self._counts)} logs in {len(self)} buckets, {sum(self._unknown)} unknown>"

    def add(self, created: int, emitted: int, listed: int | None = None) -> None:
        """Note that a log's record was written for the first time.

        Args:
            created: Its created_at.
            emitted: Fingerprint of the record.
            listed: Fingerprint of its list entry, where one is at hand; else taken for the same.
        """
        place = self._place_to_add(created)
        self._counts[place] += 1
        self._sums[place] = (self._sums[place] + emitted) % _MODULUS
        if listed is not None and listed != emitted:
            self._skews[place] = (self._skews[place] + listed - emitted) % _MODULUS

    def add_in_order(self, created: Sequence[int], emitted: Sequence[int]) -> None:
        """The same of many logs in the order of created_at, whose list entries are their records."""
        first = 0
        while first < len(created):
            place = self._place_to_add(created[first])
            end = first + 1
            if place == len(self._edges) - 1 and not self._is_sealed:
                # Until the bucket is full, or wide enough, all that follow are its logs.
                until = (self._edges[place] + MAX_BUCKET_SECONDS) * SECOND
                # One second's logs may have made it more than full.
                room = max(self.bucket_logs - self._counts[place], 0)
                end = max(bisect_left(created, until, end, min(first + room, len(created))), end)
                self.newest = max(self.newest, created[end - 1])
            self._counts[place] += end - first
            self._sums[place] = (self._sums[place] + sum(emitted[first:end])) % _MODULUS
            first = end

    def replace(self, created: int, old: int | None, new: int) -> None:
        """Note that a log's record was written again.

        Args:
            created: Its created_at.
            old: Fingerprint of the record that was written before, None where it is not known.
            new: Fingerprint of the record.
        """
        place = self._place(created)
        if place < 0:
            return
        if old is None:
            self._unknown[place] = True
            return
        self._sums[place] = (self._sums[place] - old + new) % _MODULUS

    def discard(self, created: int, old: int | None) -> None:
        """Note that a log which was written is listed no more."""
        place = self._place(created)
        if place < 0:
            return
        if old is None or not self._counts[place]:
            self._unknown[place] = True
            return
        self._counts[place] -= 1
        self._sums[place] = (self._sums[place] - old) % _MODULUS

    def doubt(self, start: int, end: int) -> None:
        """Note that what was written in [start, end) is not known: its buckets differ at the next sweep."""
        for place in range(max(self._place(start), 0), self._place(end - 1) + 1):
            self._unknown[place] = True

    def seal(self) -> None:
        """Begin a new bucket with the next log that comes after all others: what is there is about to be compared."""
        self._is_sealed = True

    def prune(self, before: int) -> None:
        """Drop the buckets that end at this instant or before it."""
        place = self._place(before)
        if place > 0:
            self._replace_buckets(0, place, [])

    def bucket_at(self, instant: int) -> Known:
        """The bucket that an instant lies in; before the first, an empty one that begins at the instant's second."""
        place = self._place(instant)
        until = self._edges[place + 1] * SECOND if place + 1 < len(self._edges) else None
        if place < 0:
            return Known(instant // SECOND * SECOND, until, 0, 0, is_unknown=False)
        expected = self._sums[place] + self._skews[place]
        return Known(
            self._edges[place] * SECOND, until, self._counts[place], expected, is_unknown=bool(self._unknown[place])
        )

    def rewrite(self, start: int, end: int | None, logs: Sequence[Rewritten]) -> None:
        """Begin the buckets of [start, end), as `Compared` gives them, anew.

        Args:
            start: As in `Compared`.
            end: As in `Compared`.
            logs: What was written of them again, and what the list showed, in any order.
        """
        first = self._split_at(start)
        last = len(self._edges) if end is None else self._split_at(end)
        self._replace_buckets(first, last, self._cut(start, logs))
        self.newest = max((self.newest, *(log.created for log in logs)))

    def _place(self, instant: int) -> int:
        """Index of the bucket that an instant lies in, -1 before the first."""
        second = instant // SECOND
        edges = self._edges
        if edges and second >= edges[-1]:
            return len(edges) - 1
        return bisect_right(edges, second) - 1

    def _place_to_add(self, created: int) -> int:
        """Index of the bucket for a log; a new one where the log comes after all others and the last bucket is full."""
        second = created // SECOND
        last = len(self._edges) - 1
        if last < 0 or second < self._edges[last]:
            place = self._place(created)
            if place < 0:
                self._replace_buckets(0, 0, [_Bucket(second)])
                place = 0
        elif second > self.newest // SECOND and (
            self._is_sealed
            or self._counts[last] >= self.bucket_logs
            or second - self._edges[last] >= MAX_BUCKET_SECONDS
        ):
            self._is_sealed = False
            place = last + 1
            self._replace_buckets(place, place, [_Bucket(second)])
        else:
            place = last
        self.newest = max(self.newest, created)
        return place

    def _split_at(self, instant: int) -> int:
        """Index of the bucket that begins at an instant; what one has before it is then not known."""
        second = instant // SECOND
        place = self._place(instant)
        if place >= 0 and self._edges[place] == second:
            return place
        if place >= 0:
            self._unknown[place] = True
        # Whatever is listed in the rest differs from none.
        self._replace_buckets(place + 1, place + 1, [_Bucket(second)])
        return place + 1

    def _cut(self, start: int, logs: Sequence[Rewritten]) -> list[_Bucket]:
        """Even buckets from a start on; one second is never in two."""
        parts = -(-len(logs) // self.bucket_logs) or 1
        size = -(-len(logs) // parts)
        buckets = [_Bucket(start // SECOND)]
        previous = None
        for log in sorted(logs, key=_created):
            second = log.created // SECOND
            bucket = buckets[-1]
            is_full = bucket.count >= size or second - bucket.edge >= MAX_BUCKET_SECONDS
            if is_full and second != previous and second > bucket.edge:
                bucket = _Bucket(second)
                buckets.append(bucket)
            bucket.add(log)
            previous = second
        return buckets

    def _replace_buckets(self, first: int, last: int, buckets: Sequence[_Bucket]) -> None:
        self._edges[first:last] = array("q", [bucket.edge for bucket in buckets])
        self._counts[first:last] = array("Q", [bucket.count for bucket in buckets])
        self._sums[first:last] = array("Q", [bucket.sum for bucket in buckets])
        self._skews[first:last] = array("Q", [bucket.skew for bucket in buckets])
        self._unknown[first:last] = bytes(bucket.unknown for bucket in buckets)

    def _merge_to(self, most: int) -> None:
        """Merge neighbours, small ones first and old ones first, until there are no more than so many buckets."""
        buckets = [
            _Bucket(*values)
            for values in zip(self._edges, self._counts, self._sums, self._skews, map(bool, self._unknown), strict=True)
        ]
        logs = sum(self._counts)
        limit = self.bucket_logs = max(self.bucket_logs, logs // most)
        # What a sweep has still to compare stays as it is while there is anything else to merge.
        until = len(buckets) if self.cursor is None else max(self._place(self.cursor), 0)
        while (excess := len(buckets) - most) > 0:
            merged = buckets[:1]
            for bucket in buckets[1:until]:
                last = merged[-1]
                if excess and last.count + bucket.count <= limit:
                    last.merge(bucket)
                    excess -= 1
                else:
                    merged.append(bucket)
            until, buckets = len(merged), [*merged, *buckets[max(until, 1) :]]
            if limit > logs:
                until = len(buckets)
            limit = int(limit * _GROWTH) + 1
        self._replace_buckets(0, len(self._edges), buckets)

    def _encode(self) -> str:
        steps = array("q", [edge - before for before, edge in itertools.pairwise([0, *self._edges])])
        with_skew = bytes(map(bool, self._skews))
        skews = array("Q", filter(None, self._skews))
        shape = b"".join((_planes(steps), _planes(self._counts), bytes(self._unknown), with_skew))
        # The sums are as good as random: nothing makes them smaller.
        sums = _planes(self._sums, _FINGERPRINT_BYTES) + _planes(skews, _FINGERPRINT_BYTES)
        packed = zlib.compress(shape)
        cursor, swept = (_NONE if instant is None else instant for instant in (self.cursor, self.swept))
        header = _HEADER.pack(len(self._edges), self.bucket_logs, len(packed), self.newest, cursor, swept)
        body = header + packed + sums
        return _VERSION + base64.b64encode(zlib.crc32(body).to_bytes(4, "little") + body).decode()

    def _decode(self, data: bytes) -> None:
        body = memoryview(data)[4:]
        if zlib.crc32(body) != int.from_bytes(data[:4], "little"):
            message = "the checksum differs"
            raise ValueError(message)
        count, self.bucket_logs, packed, self.newest, cursor, swept = _HEADER.unpack_from(body)
        self.cursor, self.swept = (None if instant == _NONE else instant for instant in (cursor, swept))
        shape = zlib.decompress(body[_HEADER.size : _HEADER.size + packed])
        sums = bytes(body[_HEADER.size + packed :])
        edge = 0
        for step in _from_planes("q", shape[: 8 * count]):
            edge += step
            self._edges.append(edge)
        self._counts = _from_planes("Q", shape[8 * count : 16 * count])
        self._unknown = bytearray(shape[16 * count : 17 * count])
        with_skew = shape[17 * count :]
        self._sums = _from_planes("Q", sums[: _FINGERPRINT_BYTES * count], _FINGERPRINT_BYTES)
        skews = iter(_from_planes("Q", sums[_FINGERPRINT_BYTES * count :], _FINGERPRINT_BYTES))
        self._skews = array("Q", [next(skews) if has_skew else 0 for has_skew in with_skew])


class Comparison(Generic[Log]):
    """The buckets of a range beside a list that is read in the order of created_at, bucket by bucket.

    No more logs are held than the largest bucket has, or one second's where that has more. Buckets that were compared
    may be rewritten while others still are.

    Attributes:
        start: The instant to list from: the start of the bucket that the range begins in.
    """

    def __init__(self, digests: Digests, start: int, end: int) -> None:
        self._digests = digests
        self._end = end
        known = digests.bucket_at(start)
        self.start = known.start
        self._from = known.start
        self._until = known.until
        self._known = known
        self._differs = known.is_unknown
        self._count = 0
        self._sum = 0
        self._latest = known.start
        self._logs: list[Log] = []

    def add(self, created: int, listed: int, log: Log) -> Iterable[Compared[Log]]:
        """Take the next log of the list, with the fingerprint of its entry; gives what is compared by that."""
        compared: list[Compared[Log]] = []
        while self._until is not None and created >= self._until:
            compared.append(self._close())
            self._open_next(self._until)
        if (
            self._differs
            and len(self._logs) >= self._digests.bucket_logs
            and created // SECOND > self._latest // SECOND
        ):
            compared.append(self._close_part(created // SECOND * SECOND))
        self._logs.append(log)
        self._count += 1
        self._sum += listed
        self._latest = created
        self._differs = self._differs or self._count > self._known.logs
        return compared

    @property
    def compared_until(self) -> int:
        """The start of the bucket that is being compared: everything before it has been."""
        return self._from

    def finish(self) -> Iterator[Compared[Log]]:
        """What is compared by the end of the list; a bucket that reaches beyond the range's end is not."""
        while self._until is not None and self._until <= self._end:
            yield self._close()
            self._open_next(self._until)
        if self._until is None and self._digests.newest < self._end:
            yield self._close()

    def _open_next(self, start: int) -> None:
        self._from = start
        self._known = self._digests.bucket_at(start)
        self._until = self._known.until
        self._differs = self._known.is_unknown
        self._count = 0
        self._sum = 0
        self._latest = start
        self._logs = []

    def _close(self) -> Compared[Log]:
        differs = self._differs or self._count != self._known.logs or (self._sum - self._known.expected) % _MODULUS != 0
        fewer = max(self._known.logs - self._count, 0)
        return Compared(self._from, self._until, differs, self._logs if differs else (), fewer)

    def _close_part(self, end: int) -> Compared[Log]:
        """Let go of what is held of a bucket that is known to differ."""
        part = Compared(self._from, end, differs=True, logs=self._logs, fewer=0)
        self._from, self._logs = end, []
        return part


@dataclass
class _Bucket:
    edge: int
    count: int = 0
    sum: int = 0
    skew: int = 0
    unknown: bool = False

    def add(self, log: Rewritten) -> None:
        if log.emitted is None:
            self.unknown = True
            return
        self.count += 1
        self.sum = (self.sum + log.emitted) % _MODULUS
        self.skew = (self.skew + log.listed - log.emitted) % _MODULUS

    def merge(self, following: _Bucket) -> None:
        self.count += following.count
        self.sum = (self.sum + following.sum) % _MODULUS
        self.skew = (self.skew + following.skew) % _MODULUS
        self.unknown = self.unknown or following.unknown


_created = attrgetter("created")


def _planes(values: array[int], size: int = 8) -> bytes:
    """The first bytes of all values, then the second ones, and so on: those that are alike lie together."""
    data = _little_endian(values).tobytes()
    return b"".join(data[place::8] for place in range(size))


def _from_planes(kind: Literal["q", "Q"], values: bytes, size: int = 8) -> array[int]:
    """The values whose first bytes lie together in planes."""
    count = len(values) // size
    data = bytearray(8 * count)
    for place in range(size):
        data[place::8] = values[place * count : (place + 1) * count]
    result = array(kind, bytes(data))
    return _little_endian(result)


def _little_endian(values: array[int]) -> array[int]:
    if sys.byteorder == "little":
        return values
    values = values[:]
    values.byteswap()
    return values
