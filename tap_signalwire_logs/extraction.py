"""The network side of a stream: one thread, one asyncio loop, from windows to ordered batches over one queue.

A log's way is one coroutine that ends in an outcome, so that one failure is data and not the end of everything.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from collections import deque
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING

from tap_signalwire_logs.digests import Comparison, fingerprint
from tap_signalwire_logs.discovery import Discovery
from tap_signalwire_logs.errors import Cancelled, FatalError
from tap_signalwire_logs.external_sort import ExternalSorter, blocks_of
from tap_signalwire_logs.instants import DAY, EARLIEST, SECOND
from tap_signalwire_logs.logs import (
    Batch,
    BucketSwept,
    DoneLogs,
    Log,
    Outcome,
    RangeRetried,
    RangeUnread,
    SweptUntil,
    WindowClosed,
    count,
)
from tap_signalwire_logs.windows import TARGET_LOGS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Self

    from tap_signalwire_logs.client import Client
    from tap_signalwire_logs.digests import Compared, Digests
    from tap_signalwire_logs.discovery import WindowListing
    from tap_signalwire_logs.entries import Entry, EntryReader
    from tap_signalwire_logs.logs import Item, Mark
    from tap_signalwire_logs.source import LogSource
    from tap_signalwire_logs.state import PendingLog

MAX_AHEAD = 1_024
"""Logs that may be on their way at once: one slow answer does not idle the rest, and memory stays flat."""

MAX_READY = 256
"""The same where no log takes a request."""

BATCH_LOGS = 128
BATCHES_IN_QUEUE = 4
POLL_SECONDS = 0.2

JOIN_SECONDS = 1.5
"""How long a network thread that is told to begin or to end is waited for: less than a process has from a signal on.

One that hangs, on a slow disk maybe, keeps no state from being written.
"""

WINDOWS_AT_ONCE = 16
"""Windows that are listed side by side where their entries are the records."""

TARGET_LOGS_OF_GETS = 5_000
"""Logs of a window where each takes a get: a few seconds of them, so that the first come soon."""

MARK_SWEEP_EVERY = DAY // 4
"""Time that a sweep has compared, after which the state says so: one that is killed goes on from there."""

LATEST = 1 << 62
"""Later than any instant."""

CLOCK_TOLERANCE_SECONDS = 120
"""Difference between this machine's clock and the service's past which the service's is used."""


@dataclass(frozen=True)
class Job:
    """What a run extracts of one stream. Instants are microseconds since 1970.

    Args:
        path: The list endpoint.
        has_get: Whether there is a get endpoint.
        takes_entries: Whether list entries are the records.
        ids: The logs to fetch; None to discover them.
        start: Where discovery begins; None for all the history that is kept.
        end: Where it ends; None for now.
        lookback: How long before the bookmark discovery begins, where it does.
        page_size: Logs on one page.
        include_deleted: Whether deleted logs are listed too.
        refresh: How long a log that is not final is fetched again.
        pending: Logs that are not final, by ID.
        emitted: IDs of logs done with, which the lookback meets again.
        unread: Ranges that earlier runs could not read.
        sweep: The sweep that is due; None where none is.
    """

    path: str
    has_get: bool
    takes_entries: bool
    ids: Iterable[str] | None
    start: int | None
    end: int | None
    lookback: int | None
    page_size: int
    include_deleted: bool
    refresh: int
    pending: Mapping[str, PendingLog] = field(default_factory=dict)
    emitted: frozenset[str] = frozenset()
    unread: list[tuple[int, int]] = field(default_factory=list)
    sweep: Sweep | None = None


@dataclass(frozen=True)
class Sweep:
    """A comparison of what is listed with what was emitted.

    Args:
        digests: What was emitted; the network thread's own copy.
        width: How far back from now it goes, in microseconds.
        start: No log before this is compared; None for no bound.
    """

    digests: Digests
    width: int
    start: int | None


class RefreshQueue:
    """Pending logs that this run checks, by created_at and ID; each is handed on once.

    One that is listed is known by its ID: what the list says of its created_at may have changed.
    """

    def __init__(self, logs: Iterable[tuple[int, str]]) -> None:
        self._queue = deque(logs)
        self._left = {log_id for _, log_id in self._queue}
        self._handed_on: set[str] = set()

    def __bool__(self) -> bool:
        """Whether there were any."""
        return bool(self._left or self._handed_on)

    def concerns(self, entries: Sequence[Entry]) -> bool:
        """Whether any of listed logs in a row is one of these, or one of these comes before the last of them."""
        if not self or not entries:
            return False
        ids = {entry[1] for entry in entries}
        is_before = bool(self._queue and self._queue[0] < entries[-1][:2])
        return is_before or not (ids.isdisjoint(self._left) and ids.isdisjoint(self._handed_on))

    def before(self, place: tuple[int, str] | None) -> Iterator[Log]:
        """Those before a place of the order, or all that are left."""
        while self._queue and (place is None or self._queue[0] < place):
            created, log_id = self._queue.popleft()
            if log_id in self._left:
                self._left.remove(log_id)
                self._handed_on.add(log_id)
                yield Log(log_id, created)

    def yields_to(self, log_id: str) -> bool:
        """Whether a listed log was not handed on yet; it is then none of these any more."""
        if log_id in self._left:
            self._left.remove(log_id)
            return True
        return log_id not in self._handed_on


class BatchQueue:
    """The one way from the network thread to the main thread: a few batches at most.

    No `queue.SimpleQueue`: up to Python 3.12, a signal that comes as its wait is over makes it wait for ever.
    """

    def __init__(self) -> None:
        self._batches: queue.Queue[Batch | BaseException | None] = queue.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room: asyncio.Event
        self._is_full = False

    def open(self) -> None:
        """Begin to take batches on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()

    async def put(self, batch: Batch) -> None:
        """Hand on a batch once there is room."""
        while self._batches.qsize() >= BATCHES_IN_QUEUE:
            self._room.clear()
            self._is_full = True
            if self._batches.qsize() >= BATCHES_IN_QUEUE:
                await self._room.wait()
        self._batches.put(batch)

    def end(self, error: BaseException | None) -> None:
        """Say that nothing follows, or what ended the extraction."""
        self._batches.put(error)

    def get(self, seconds: float) -> Batch | BaseException | None:
        """The next batch, None at the end, or the error that ended the extraction.

        Raises:
            queue.Empty: None came in so many seconds.
        """
        batch = self._batches.get(timeout=seconds) if seconds else self._batches.get_nowait()
        if self._loop and self._is_full:
            self._is_full = False
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._room.set)
        return batch


class Extraction:
    """Extracts one stream on a thread of its own, while the caller takes batches.

    Args:
        job: What to extract.
        client: The Space.
        reader: Reads the entries of lists.
        source: Makes the source of records of a discovery.
        began: This machine's time at the start of the run, in microseconds since 1970.
        name: The stream's name.
    """

    def __init__(
        self,
        job: Job,
        *,
        client: Client,
        reader: EntryReader,
        source: Callable[[Discovery], LogSource],
        began: int,
        name: str,
    ) -> None:
        self.now = began
        """The run's start by the service's clock, once a request was answered."""
        self.clock_ahead: float | None = None
        """Seconds that this machine's clock is ahead of the service's, where that is too much."""
        self.flaws: list[str] = []
        """What was wrong with lists although all of their logs came out."""
        self._job = job
        self._client = client
        self._began = began
        self._queue = BatchQueue()
        self._discovery = Discovery(
            client,
            job.path,
            reader,
            page_size=job.page_size,
            include_deleted=job.include_deleted,
            windows_at_once=WINDOWS_AT_ONCE if job.takes_entries else 1,
            target_logs=TARGET_LOGS if job.takes_entries else TARGET_LOGS_OF_GETS,
        )
        self._source = source(self._discovery)
        self._line: deque[list[Item] | asyncio.Task[Outcome] | BaseException] = deque()
        self._ahead = 0
        self._max_ahead = MAX_READY if job.takes_entries else MAX_AHEAD
        self._share = 0.0
        self._is_scheduled = False
        self._listed: deque[set[int]] = deque([set()], maxlen=2)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{name}-network", daemon=True)

    def __repr__(self) -> str:
        """What it waits for."""
        tasks = sum(isinstance(item, asyncio.Task) for item in self._line)
        return f"<Extraction: {self._ahead} logs ahead, {tasks} of them gets; {self._discovery!r}; {self._client!r}>"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_begun.wait(JOIN_SECONDS)
        if self._loop and self._task:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(JOIN_SECONDS)

    def batches(self, stop: threading.Event, before_wait: Callable[[], None]) -> Iterator[Batch]:
        """Batches in order until the end.

        Args:
            stop: Ends the waiting.
            before_wait: Called before each wait.

        Raises:
            Cancelled: `stop` was set.
            FatalError: The stream can't go on.
        """
        while not stop.is_set():
            try:
                batch = self._queue.get(0)
            except queue.Empty:
                before_wait()
                try:
                    batch = self._queue.get(POLL_SECONDS)
                except queue.Empty:
                    continue
            if batch is None:
                return
            if isinstance(batch, BaseException):
                raise batch
            yield batch
        raise Cancelled

    # On the network thread

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            error = Cancelled()
        except BaseException as caught:  # noqa: BLE001 - it is raised where batches are taken
            error = caught
        self._has_begun.set()
        self._queue.end(error)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._queue.open()
        self._has_begun.set()
        async with self._client:
            scheduling = asyncio.create_task(self._schedule())
            try:
                await self._deliver()
            finally:
                tasks = [scheduling, *(item for item in self._line if isinstance(item, asyncio.Task))]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _schedule(self) -> None:
        """Put every log in line, in order; an error takes its turn behind them."""
        try:
            logs = self._discovered() if self._job.ids is None else self._configured(self._job.ids)
            async with aclosing(logs) as parts:
                async for part in parts:
                    self._put_in_line(part)
                    self._news.set()
                    while self._ahead >= self._max_ahead:
                        self._room.clear()
                        await self._room.wait()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised in its turn
            self._line.append(error)
        self.flaws = self._discovery.flaws
        self._is_scheduled = True
        self._news.set()

    def _put_in_line(self, part: list[Log | DoneLogs] | Mark) -> None:
        """Begin what leads to the outcome of each log; rows of those that are done, and a mark, are one already."""
        if not isinstance(part, list):
            self._line.append([part])
            self._ahead += 1
            return
        at_once = iter(self._source.at_once([item for item in part if isinstance(item, Log)]))
        ready: list[Item] = []
        for item in part:
            if isinstance(item, DoneLogs):
                ready.append(item)
                self._ahead += count(item)
                continue
            self._ahead += 1
            outcome = next(at_once)
            if outcome is not None:
                ready.append(outcome)
                continue
            if ready:
                self._line.append(ready)
                ready = []
            self._line.append(asyncio.ensure_future(self._source.fetch(item)))
        if ready:
            self._line.append(ready)

    async def _deliver(self) -> None:
        """Hand on outcomes in the order of the line, as soon as they are there."""
        while self._line or not self._is_scheduled:
            batch = await self._next_batch()
            self._ahead -= sum(map(count, batch))
            if self._ahead < self._max_ahead:
                self._room.set()
            if batch:
                await self._queue.put(Batch(batch, self._share_of(batch[-1])))

    async def _next_batch(self) -> list[Item]:
        """What is ready at the head of the line; waits where nothing is."""
        line = self._line
        batch: list[Item] = []
        room = BATCH_LOGS
        while line and room > 0:
            head = line[0]
            if isinstance(head, asyncio.Task):
                if batch and (not head.done() or head.exception()):
                    return batch
                batch.append(await head)
                room -= 1
            elif isinstance(head, BaseException):
                if batch:
                    return batch
                raise head
            else:
                batch += head
                room -= sum(map(count, head))
            line.popleft()
        if not line and not batch and not self._is_scheduled:
            self._news.clear()
            await self._news.wait()
        return batch

    def _share_of(self, item: Item) -> float:
        """How far through the run an item is."""
        created = item.created[-1] if isinstance(item, DoneLogs) else None
        if isinstance(item, Outcome):
            created = item.log.created
        if created is not None:
            start = self._first if self._first is not None else created
            self._first = start
            self._share = (created - start) / max((self._job.end or self.now) - start, 1)
        return self._share

    _first: int | None = None

    async def _configured(self, ids: Iterable[str]) -> AsyncGenerator[list[Log | DoneLogs] | Mark, None]:
        """Configured logs in their order, each once: sorted by ID to drop the repeated, then by place again."""
        by_id: ExternalSorter[tuple[str, int]] = ExternalSorter(itemgetter(0))
        for place, log_id in enumerate(ids):
            by_id.add((log_id, place))
        in_place: ExternalSorter[tuple[int, str]] = ExternalSorter(itemgetter(0))
        for log_id, place in by_id.drain():
            in_place.add((place, log_id))
        for part in blocks_of(in_place.drain(), BATCH_LOGS):
            self._share = part[0][0] / by_id.count
            yield [Log(log_id) for _, log_id in part]

    async def _discovered(self) -> AsyncGenerator[list[Log | DoneLogs] | Mark, None]:
        """Pending logs and those of each window, by created_at and ID, a mark after each window, and then the sweep."""
        job = self._job
        refusal: FatalError | None = None
        try:
            async with aclosing(self._of_ranges()) as parts:
                async for part in parts:
                    yield part
        except FatalError as error:
            if type(error) is not FatalError:
                raise
            refusal = error  # the list is refused; a get may still be answered
        if job.has_get:
            for logs in blocks_of(self._due.before(None), BATCH_LOGS):
                yield [*logs]
        if refusal:
            raise refusal
        yield WindowClosed(None)
        if job.sweep and job.start is not None:
            async with aclosing(self._swept(job.sweep, job.start)) as swept:
                async for item in swept:
                    yield [item] if isinstance(item, Log) else item

    async def _of_ranges(self) -> AsyncGenerator[list[Log | DoneLogs] | Mark, None]:
        """The logs of the ranges that earlier runs could not read, and of the run's own."""
        job = self._job
        ranges: deque[tuple[int | None, int | None]] = deque([*job.unread, (job.start, job.end)])
        while ranges:
            start, end = ranges.popleft()
            async with aclosing(self._of_range(start, end)) as parts:
                async for part in parts:
                    yield part
            yield RangeRetried(EARLIEST if start is None else start, LATEST if end is None else end)
            if start is not None and not ranges and job.lookback is not None and start > self.now:
                # The bookmark lies in the service's future: a log with a wrong date took it there.
                ranges.append((self.now - job.lookback, start))

    async def _of_range(self, start: int | None, end: int | None) -> AsyncGenerator[list[Log | DoneLogs] | Mark, None]:
        """The logs of a range, window by window."""
        windows = self._discovery.windows(start, end or self._began, is_open_ended=end is None)
        async with aclosing(windows) as listings:
            async for listing in listings:
                newest = None
                for logs in self._merged(listing):
                    listed = (log for log in reversed(logs) if isinstance(log, DoneLogs) or log.is_discovered)
                    newest = next(map(_latest, listed), newest)
                    yield self._to_fetch(logs)
                for window, error in listing.unread:
                    yield RangeUnread(window.start, max(window.end, window.start + 1), error)
                yield WindowClosed(newest)

    async def _swept(self, sweep: Sweep, end: int) -> AsyncGenerator[Log | Mark, None]:
        """Logs before `end` in the buckets that differ from what was emitted, and a mark after each bucket.

        Logs that are pending are no part of the digests: they are checked anyway.
        """
        start = max(self.now - sweep.width, sweep.digests.cursor or EARLIEST, sweep.start or EARLIEST)
        # Logs that came after the newest of the digests are this run's own.
        end = max(end, sweep.digests.newest // SECOND * SECOND + SECOND)
        comparison: Comparison[Log] = Comparison(sweep.digests, start, end)
        marked = start
        async with aclosing(self._discovery.windows(comparison.start, end)) as listings:
            async for listing in listings:
                for window, error in listing.unread:
                    yield RangeUnread(window.start, max(window.end, window.start + 1), error)
                if listing.unread:
                    return  # the rest is swept by the next run
                for item in self._compared(comparison, listing):
                    yield item
                if listing.window.end - marked > MARK_SWEEP_EVERY:
                    marked = listing.window.end
                    yield SweptUntil(comparison.compared_until)
        for compared in comparison.finish():
            for item in _of_bucket(compared):
                yield item
        yield SweptUntil(None)

    def _compared(self, comparison: Comparison[Log], listing: WindowListing) -> Iterator[Log | BucketSwept]:
        """What differs of the buckets that end within a window."""
        job = self._job
        for created, log_id, entry, _ in listing.drain():
            is_of_this_run = created >= (job.start or 0) and log_id not in job.emitted
            if log_id not in job.pending and not is_of_this_run:
                log = Log(log_id, created, entry, is_swept=True)
                for compared in comparison.add(created, fingerprint(entry), log):
                    yield from _of_bucket(compared)

    @cached_property
    def _due(self) -> RefreshQueue:
        """Pending logs to check in this run, by the service's clock: it is known once a list was answered."""
        self._set_clock()
        now, refresh = self.now, self._job.refresh
        return RefreshQueue(
            sorted((log.created, log_id) for log_id, log in self._job.pending.items() if log.is_due(now, refresh))
        )

    def _set_clock(self) -> None:
        offset = self._client.clock_offset
        if offset is None or abs(offset) <= CLOCK_TOLERANCE_SECONDS:
            return
        self.now = self._began + int(offset * SECOND)
        self.clock_ahead = -offset

    def _to_fetch(self, logs: list[Log | DoneLogs]) -> list[Log | DoneLogs]:
        """Those of logs that an earlier run is not done with, and that are not pending and not due."""
        emitted, pending, now, refresh = self._job.emitted, self._job.pending, self.now, self._job.refresh
        if not emitted and not pending:
            return logs
        return [
            log
            for log in logs
            if isinstance(log, DoneLogs)
            or (log.log_id not in emitted and (log.log_id not in pending or pending[log.log_id].is_due(now, refresh)))
        ]

    def _merged(self, listing: WindowListing) -> Iterator[list[Log | DoneLogs]]:
        """Logs of a window together with those pending from before its end, by created_at and ID, each once."""
        self._listed.append(set())
        for block in listing.drain_blocks():
            entries = self._not_listed_yet(block)
            if self._due.concerns(entries):
                yield from map(list, blocks_of(self._merged_with_due(entries, listing), BATCH_LOGS))
            else:
                yield list(self._in_rows(entries))
        yield from map(list, blocks_of(self._due_before((listing.window.end, ""), listing), BATCH_LOGS))

    def _merged_with_due(self, entries: Iterable[Entry], listing: WindowListing) -> Iterator[Log]:
        for created, log_id, entry, _ in entries:
            yield from self._due_before((created, log_id), listing)
            if self._due.yields_to(log_id):
                yield Log(log_id, created, entry, is_discovered=True)

    def _due_before(self, place: tuple[int, str], listing: WindowListing) -> Iterator[Log]:
        """Pending logs to check that come before a place of a window."""
        for log in self._due.before(place):
            if self._job.has_get or (not listing.unread and listing.window.holds(log.created or 0)):
                yield log

    def _in_rows(self, entries: list[Entry]) -> Iterator[Log | DoneLogs]:
        """Listed logs, in rows those that are final or too old to be fetched again."""
        known, refresh_start = self._known, self.now - self._job.refresh

        def is_done(entry: Entry) -> bool:
            created, log_id, _, is_final = entry
            return (is_final is True or (is_final is False and created <= refresh_start)) and log_id not in known

        for are_done, row in itertools.groupby(entries, is_done):
            if are_done:
                created, ids, jsons, _ = zip(*row, strict=True)
                yield DoneLogs(created, ids, jsons)
            else:
                for created_at, log_id, json, _ in row:
                    yield Log(log_id, created_at, json, is_discovered=True)

    @cached_property
    def _known(self) -> frozenset[str]:
        """IDs of the logs that earlier runs remember."""
        return self._job.emitted.union(self._job.pending)

    def _not_listed_yet(self, entries: list[Entry]) -> list[Entry]:
        """Those of entries whose logs this window and the one before it have not shown.

        The created_at of one that they have shown has changed between two pages.
        """
        before, seen = self._listed
        ids = [hash(entry[1]) for entry in entries]
        new = set(ids)
        if len(new) == len(ids) and seen.isdisjoint(new) and before.isdisjoint(new):
            seen |= new
            return entries
        unlike: list[Entry] = []
        for key, entry in zip(ids, entries, strict=True):
            if key not in seen and key not in before:
                seen.add(key)
                unlike.append(entry)
        return unlike


def _latest(logs: Log | DoneLogs) -> int | None:
    """created_at of the last of logs."""
    return logs.created[-1] if isinstance(logs, DoneLogs) else logs.created


def _of_bucket(compared: Compared[Log]) -> Iterator[Log | BucketSwept]:
    if compared.differs:
        yield from compared.logs
        yield BucketSwept(compared.start, compared.end, compared.fewer)
