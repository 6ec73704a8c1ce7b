"""Finding the logs of a time range: the list endpoint, window by window, oldest first.

What the service does not say is found out: whether it honours timestamps, where its log retention starts, in which
order it lists, how full a window is. A window whose list can't be read is split until the smallest part that can't be
read is known; all other parts come out.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections import deque
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tap_signalwire_logs.entries import decode_entry
from tap_signalwire_logs.errors import (
    FatalError,
    HistoryLimitError,
    PaginationError,
    RejectedError,
    RequestError,
    RetriesExhaustedError,
)
from tap_signalwire_logs.external_sort import ExternalSorter
from tap_signalwire_logs.instants import DAY, EARLIEST, SECOND, parse_instant, to_text
from tap_signalwire_logs.pagination import MAX_STALE_PAGES, SAFE_ID, iter_pages
from tap_signalwire_logs.windows import (
    MAX_SPLITS,
    NO_LOGS_BEFORE,
    FilterGranularity,
    LowerBound,
    Window,
    is_too_full,
    probe_instant,
    split,
    width_after,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    import msgspec

    from tap_signalwire_logs.client import Client
    from tap_signalwire_logs.entries import Entry, EntryReader
    from tap_signalwire_logs.pagination import Page

logger = logging.getLogger("tap-signalwire-logs.discovery")

SMALLEST_PAGE = 10
PROBE_PAGE = 100
SERVER_ERROR = 500
LIMIT_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
CREATED_BEFORE = "(created_before)"
"""How an error of the service tells that it is the upper bound which it refuses."""

TIMES_LISTED_AGAIN = 2
LIST_AGAIN_SECONDS = 1.0

PROBE_TRIES = 2
"""Tries of a request that looks for what can't be read: that something can't is known by then."""

MAX_FAILED_WINDOWS = 400
"""Windows that could not be read, after which no more of them are split; sooner where hardly any list can be read."""

WINDOWS_PER_SLOT = 2
"""Windows begun for each that may be listed at a time: those that are read wait on disk for their turn."""

MAX_NAMED = 10

NEAR_WINDOWS = 4
"""Windows that are planned before a part of a list that was read."""

GROWTH = 8
"""How much wider, behind those, each range is than the one after it."""

NARROW = 4 * DAY
"""Windows under which a list asked in days holds much more than the window."""

ENTRIES_IN_MEMORY = 100
PAGES_TO_KNOW_THE_ORDER = 2


@dataclass
class WindowListing:
    """What the list showed of a window.

    Args:
        window: The window.
        entries: Its logs; drained once, by created_at and ID.
        unread: Ranges of which not all could be read, each with the reason.
        has_others: Whether some of the entries lie outside the window.
    """

    window: Window
    entries: ExternalSorter[Entry]
    unread: list[tuple[Window, Exception]] = field(default_factory=list)
    has_others: bool = False

    def drain(self) -> Iterator[Entry]:
        """The logs of the window in order."""
        return itertools.chain.from_iterable(self.drain_blocks())

    def drain_blocks(self) -> Iterator[list[Entry]]:
        """The same in blocks, which may be empty."""
        if not self.has_others:
            return self.entries.drain_blocks()
        holds = self.window.holds
        return ([entry for entry in block if holds(entry[0])] for block in self.entries.drain_blocks())


@dataclass
class _Range:
    """A part of the plan that no list was asked for yet, and the width of its next window."""

    window: Window
    width: int
    is_suspect: bool = False
    group: object = field(default_factory=object)
    """What the windows of one range have in common: one tells how full the next will be."""


@dataclass
class _Attempt:
    """How a window is listed: its page size, the tries of each request, and how often it may be listed again."""

    window: Window
    page_size: int
    tries: int | None = None
    times_again: int = TIMES_LISTED_AGAIN
    is_suspect: bool = False


@dataclass
class _Split:
    """What is to be read in the place of a window, oldest first."""

    parts: list[WindowListing | _Range]


class _Reading:
    """What the pages of one window have shown so far."""

    def __init__(self, window: Window, reader: EntryReader) -> None:
        self.window = window
        self._reader = reader
        self.entries: ExternalSorter[Entry] = ExternalSorter(itemgetter(0, 1), run_length=ENTRIES_IN_MEMORY)
        self.undated: list[tuple[str, bytes]] = []
        """Entries without a date-time in created_at: when they were created is for the get to tell."""
        self.unusable: list[int | None] = []
        """created_at of the entries without an ID that a request could name."""
        self.count = 0
        self.pages = 0
        self.least: int | None = None
        self.most: int | None = None
        self.is_descending = True
        self.is_ascending = True
        self.instants: list[int] = []
        """created_at of the last page's entries."""

    @property
    def span(self) -> int:
        """Microseconds between the first and the last log of the window."""
        return 0 if self.least is None or self.most is None else self.most - self.least

    def take(self, raws: list[msgspec.Raw]) -> tuple[None, int]:
        """Take a page's entries, those that lie in the window."""
        undated_before = len(self.undated)
        jsons = list(map(bytes, raws))
        entries = self._reader.read(jsons)
        if entries is None:
            entries = self._sift(jsons)
        instants = [entry[0] for entry in entries]
        self._note_order(instants)
        self.instants = instants
        self.count += len(raws)
        self.pages += 1
        self._keep(entries, instants)
        ids = [entry[1] for entry in entries] + [log_id for log_id, _ in self.undated[undated_before:]]
        return None, hash(tuple(ids)) if ids else 0

    def _sift(self, jsons: list[bytes]) -> list[Entry]:
        """The entries that have an ID and a date-time; the others are put aside."""
        entries: list[Entry] = []
        for json in jsons:
            entry = decode_entry(json)
            created: int | None = None
            with suppress(ValueError):
                created = parse_instant(entry.created_at)
            if type(entry.id) is not str or not SAFE_ID.fullmatch(entry.id):
                if created is None or self.window.holds(created):
                    self.unusable.append(created)
            elif created is None:
                self.undated.append((entry.id, json))
            else:
                entries.append((created, entry.id, json, None))
        return entries

    def _keep(self, entries: list[Entry], instants: list[int]) -> None:
        if not entries:
            return
        least, most = min(instants), max(instants)
        holds = self.window.holds
        if not (holds(least) and holds(most)):
            entries = [entry for entry in entries if holds(entry[0])]
            if not entries:
                return
            least, most = min(entries)[0], max(entries)[0]
        self.entries.extend(entries)
        self.least = least if self.least is None else min(self.least, least)
        self.most = most if self.most is None else max(self.most, most)

    def _note_order(self, instants: list[int]) -> None:
        both = self.instants[-1:] + instants
        ordered = sorted(both)
        self.is_ascending = self.is_ascending and both == ordered
        self.is_descending = self.is_descending and both == ordered[::-1]

    def listing(self, window: Window, path: str, failure: Exception | None = None) -> WindowListing:
        """What was read, as the listing of a window; the entries without a date come at its start."""
        self.entries.extend([(window.start, log_id, json, None) for log_id, json in self.undated])
        unread = [(window, failure)] if failure else []
        for created in [] if failure else self.unusable[:MAX_NAMED]:
            place = window if created is None else Window(created, created + 1)
            unread.append((place, PaginationError(f"GET {path}: an entry without a usable `id`")))
        has_others = not all(instant is None or window.holds(instant) for instant in (self.least, self.most))
        return WindowListing(window, self.entries, unread, has_others)


class Discovery:
    """Lists one family of logs.

    Args:
        client: The Space.
        path: The list endpoint.
        reader: Reads the entries of pages.
        page_size: Logs on one page.
        include_deleted: Whether deleted logs are listed too.
        windows_at_once: Windows that are listed side by side.
        target_logs: Logs that a window should hold.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        reader: EntryReader,
        *,
        page_size: int,
        include_deleted: bool,
        windows_at_once: int,
        target_logs: int,
    ) -> None:
        self._client = client
        self._path = path
        self._reader = reader
        self._page_size = page_size
        self._include_deleted = include_deleted
        self._max_at_once = windows_at_once
        self._at_once = 1
        self._target = target_logs
        self._granularity: FilterGranularity | None = None
        self._pages_read = 0
        self._lists_read = 0
        self._failed_windows = 0
        self._start: int | None = None
        self._limit_said = False
        self.flaws: list[str] = []
        """What was wrong with lists although all of their logs came out: such a run has failed."""

    def __repr__(self) -> str:
        """What it has done and does."""
        return (
            f"<Discovery {self._path}: {self._pages_read} pages read, {self._failed_windows} windows failed, "
            f"{self._at_once} at once>"
        )

    async def windows(
        self, start: int | None, end: int, *, is_open_ended: bool = False
    ) -> AsyncGenerator[WindowListing, None]:
        """Windows from `start` (None: all that is kept) to `end`, ascending.

        The first window is the whole range, for most runs are small. One that is too full is split; the windows after
        it follow how full they are, and are listed side by side while they are full.

        Raises:
            FatalError: No list can be read.
        """
        self._start = start
        if start is not None and start >= end and not is_open_ended:
            return
        lower = LowerBound.OPEN if start is None else LowerBound.SPARE
        first = EARLIEST if start is None else start
        whole = Window(first, max(end, first + SECOND), lower, is_open_ended)
        plan: deque[WindowListing | _Range | tuple[_Range, asyncio.Task[WindowListing | _Split]]]
        plan = deque([_Range(whole, whole.width)])
        try:
            while plan:
                self._begin(plan)
                head = plan.popleft()
                if isinstance(head, WindowListing):
                    yield head
                elif isinstance(head, tuple):
                    part, task = head
                    outcome = await task
                    if isinstance(outcome, _Split):
                        plan.extendleft(reversed(outcome.parts))
                        self._at_once = self._max_at_once
                    else:
                        self._follow(plan, part, outcome)
                        yield outcome
        finally:
            tasks = [item[1] for item in plan if isinstance(item, tuple)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def find(self, log_id: str, created: int) -> bytes | None:
        """A log's list entry, looked for around its created_at; None where the list does not show it.

        Raises:
            RequestError, PaginationError, FatalError: The list can't be read.
        """
        if self._granularity is None:
            await self._find_granularity([created])
        granularity = self._granularity or FilterGranularity.DAYS
        window = Window(created, created + 1)
        found: bytes | None = None

        def take(raws: list[msgspec.Raw]) -> tuple[None, int]:
            nonlocal found
            entries = [(decode_entry(raw), raw) for raw in raws]
            for entry, raw in entries:
                if isinstance(entry.id, str) and entry.id.lower() == log_id.lower():
                    found = bytes(raw)
            return None, hash(tuple(str(entry.id) for entry, _ in entries)) if entries else 0

        for query in window.list_params(granularity):
            async with aclosing(self._iter_pages(query, self._page_size, take, None)) as pages:
                async for _ in pages:
                    if found is not None:
                        return found
        return None

    def _begin(self, plan: deque[Any]) -> None:
        """Begin to list the plan's next windows, as many as may be listed side by side."""
        is_suspect = any(isinstance(item, _Range) and item.is_suspect for item in itertools.islice(plan, MAX_SPLITS))
        for place in range(MAX_SPLITS if is_suspect else self._at_once * WINDOWS_PER_SLOT):
            if place >= len(plan):
                return
            item = plan[place]
            if not isinstance(item, _Range):
                continue
            window = item.window.first_part(item.width, self._granularity or FilterGranularity.DAYS)
            part = replace(item, window=window)
            rest = item.window.after(window)
            plan[place] = (part, asyncio.ensure_future(self._list(part)))
            if rest:
                plan.insert(place + 1, replace(item, window=rest))

    def _follow(self, plan: deque[Any], part: _Range, listing: WindowListing) -> None:
        """Let the windows after one be as wide as it was full."""
        following = next((item for item in plan if isinstance(item, _Range)), None)
        if following is None or following.group is not part.group or part.is_suspect:
            return
        count = listing.entries.count
        following.width = width_after(part.window.width, count, self._target)
        self._at_once = min(self._at_once * 2, self._max_at_once) if count * 4 > self._target else 1

    async def _list(self, part: _Range) -> WindowListing | _Split:
        """Read a window's list to its end; where that can't be, what to read in its place."""
        attempt = _Attempt(part.window, self._page_size)
        if part.is_suspect:
            attempt = replace(attempt, tries=PROBE_TRIES, times_again=0, is_suspect=True)
        while True:
            reading = _Reading(attempt.window, self._reader)
            try:
                outcome = await self._read(reading, attempt)
            except HistoryLimitError as error:
                reading.entries.close()
                narrowed = self._within_retention(attempt.window, error)
                if narrowed is None:
                    return _Reading(attempt.window, self._reader).listing(attempt.window, self._path)
                attempt.window = narrowed
            except (RequestError, PaginationError) as failure:
                outcome = await self._after_failure(reading, failure, attempt)
                if outcome:
                    return outcome
            else:
                if outcome:
                    self._page_size = min(self._page_size, attempt.page_size)
                    return outcome

    async def _after_failure(
        self, reading: _Reading, failure: RequestError | PaginationError, attempt: _Attempt
    ) -> WindowListing | _Split | None:
        """What to read in the place of a list that failed; None where it is to be tried again as `attempt` says now."""
        if isinstance(failure, PaginationError):
            self.flaws.append(str(failure))
        elif cut := self._cut(reading):
            return cut
        smaller = None if reading.pages else _smaller_page(failure, attempt)
        is_lasting = isinstance(failure, RejectedError | RetriesExhaustedError) and not reading.pages
        if not smaller and (is_lasting or not attempt.times_again):
            return self._without(reading, failure)
        reading.entries.close()
        if smaller:
            logger.warning("%s; trying pages of %d logs", failure, smaller)
            attempt.page_size, attempt.tries = smaller, PROBE_TRIES
        else:
            # A page token may have expired, a gateway may have been confused: once more from the start.
            logger.warning("%s; listing %s again", failure, _describe(reading.window))
            await asyncio.sleep(LIST_AGAIN_SECONDS / attempt.times_again)
            attempt.times_again -= 1
        return None

    async def _read(self, reading: _Reading, attempt: _Attempt) -> WindowListing | _Split | None:
        """Walk a window's list; None where it is to be asked anew, in timestamps."""
        window, granularity = reading.window, self._granularity or FilterGranularity.DAYS
        for query in window.list_params(granularity):
            async with aclosing(self._iter_pages(query, attempt.page_size, reading.take, attempt.tries)) as pages:
                async for page in pages:
                    if page.next and self._granularity is None:
                        await self._find_granularity(reading.instants)
                        if self._granularity is FilterGranularity.TIMESTAMPS and window.width < NARROW:
                            reading.entries.close()
                            return None
                    if page.next and is_too_full(reading.count, reading.span, window, self._target):
                        cut = self._cut(reading)
                        if cut:
                            return cut
        self._lists_read += 1
        return reading.listing(window, self._path)

    def _without(self, reading: _Reading, failure: RequestError | PaginationError) -> WindowListing | _Split:
        """What to read where a window's list can't be: its parts, or what the list has shown of the smallest."""
        window, granularity = reading.window, self._granularity or FilterGranularity.DAYS
        self._failed_windows += 1
        is_refused = isinstance(failure, RejectedError) and not self._pages_read
        if is_refused or (self._failed_windows > MAX_SPLITS and not self._lists_read):
            reading.entries.close()
            message = f"{failure}; rerun later: it resumes from the last saved state"
            raise FatalError(message) from None
        is_worth_it = self._failed_windows <= min(MAX_FAILED_WINDOWS, MAX_SPLITS + self._lists_read // 3)
        parts = split(window, granularity) if is_worth_it else []
        if len(parts) > 1:
            reading.entries.close()
            logger.warning("%s; looking for what can be read of %s", failure, _describe(window))
            return _Split([_Range(each, each.width, is_suspect=True) for each in parts])
        return reading.listing(window, self._path, failure)

    def _cut(self, reading: _Reading) -> _Split | None:
        """Split a window where its list has come to: what was read is kept, and only the rest is asked for.

        That takes a list in order, which two pages show; None where it is not, or the filters can't tell the rest.
        """
        window, granularity = reading.window, self._granularity or FilterGranularity.DAYS
        least, most = reading.least, reading.most
        if least is None or most is None or reading.pages < PAGES_TO_KNOW_THE_ORDER:
            return None
        if window.lower_bound is LowerBound.EXACT or reading.is_ascending == reading.is_descending:
            return None
        in_days = granularity is FilterGranularity.DAYS
        if reading.is_descending:
            place = least // DAY * DAY + DAY if in_days else least + 1
        else:
            place = most // DAY * DAY if in_days else most
        end = max(window.end, place + SECOND) if window.is_open_ended else window.end
        if not window.start < place < end:
            return None
        earlier = replace(window, end=place, is_open_ended=False)
        later = replace(window, start=place, end=end, lower_bound=LowerBound.SPARE)
        width = max(reading.span * self._target // max(reading.entries.count, 1), granularity.finest)
        self._lists_read += 1
        if reading.is_descending:
            return _Split([*_ranges_back(earlier, width), reading.listing(later, self._path)])
        return _Split([reading.listing(earlier, self._path), _Range(later, width)])

    async def _iter_pages(
        self,
        query: dict[str, str],
        page_size: int,
        take: Callable[[list[msgspec.Raw]], tuple[None, int]],
        tries: int | None,
    ) -> AsyncGenerator[Page[None], None]:
        params: dict[str, str | int] = {**query, "page_size": page_size}
        if self._include_deleted:
            params["include_deleted"] = "true"
        # Where lists are known to fail, one that has no end is not followed as far.
        stale = MAX_STALE_PAGES // 20 if self._failed_windows or self.flaws else MAX_STALE_PAGES
        listed = iter_pages(self._client, self._path, params, take, max_stale_pages=stale, max_tries=tries)
        async with aclosing(listed) as pages:
            async for page in pages:
                self._pages_read += 1
                yield page

    async def _find_granularity(self, instants: list[int]) -> None:
        """Ask for one second of the list: what comes tells whether the filters honour timestamps."""
        instant = probe_instant(instants)
        if instant is None:
            return
        found: list[int] = []

        def take(raws: list[msgspec.Raw]) -> tuple[None, int]:
            for raw in raws:
                with suppress(ValueError):
                    found.append(parse_instant(decode_entry(raw).created_at))
            return None, 0

        second = Window(instant // SECOND * SECOND, instant // SECOND * SECOND + SECOND)
        query = second.list_params(FilterGranularity.TIMESTAMPS)[0]
        granularity = FilterGranularity.DAYS
        try:
            async with aclosing(self._iter_pages(query, min(self._page_size, PROBE_PAGE), take, PROBE_TRIES)) as pages:
                async for _ in pages:
                    break
        except RetriesExhaustedError:
            return
        except RequestError:
            pass
        else:
            if found and all(abs(created - instant) <= 3 * SECOND for created in found):
                granularity = FilterGranularity.TIMESTAMPS
        self._granularity = self._granularity or granularity

    def _within_retention(self, window: Window, error: HistoryLimitError) -> Window | None:
        """The window as far back as the Space keeps logs; None where nothing of it is kept.

        Raises:
            FatalError: Not even the date that the service names is taken.
        """
        limit = _history_limit(error)
        self._say_limit(limit)
        if window.lower_bound is LowerBound.SPARE:
            return replace(window, lower_bound=LowerBound.OPEN)
        if limit.is_after(window):
            return None
        if window.lower_bound is LowerBound.OPEN and limit.instant is not None:
            return replace(window, start=max(window.start, limit.instant), lower_bound=LowerBound.EXACT)
        message = f"{error}; the list can't be read to its end; set `start_date` to a later date"
        raise FatalError(message) from None

    def _say_limit(self, limit: _HistoryLimit) -> None:
        """Say once that the range begins before the Space's log retention."""
        if self._limit_said or self._start is None or (limit.instant is not None and self._start >= limit.instant):
            return
        self._limit_said = True
        logger.warning(
            "`start_date` %s is before this Space's log retention (%s); reading from there",
            to_text(self._start),
            limit.sentence if limit.instant is None else f"starts {to_text(limit.instant)[:10]}",
        )


def _ranges_back(window: Window, width: int) -> list[WindowListing | _Range]:
    """A window as ranges that are the wider the older they are: where its first log is, is not known.

    Args:
        window: The window.
        width: Microseconds that hold about as many logs as a window should, at the window's end.
    """
    parts: list[WindowListing | _Range] = []
    rest, reach = window, width * NEAR_WINDOWS
    while window.end - reach > max(window.start, NO_LOGS_BEFORE):
        place = window.end - reach
        parts.append(_Range(replace(rest, start=place, lower_bound=LowerBound.SPARE), width if not parts else reach))
        rest = replace(rest, end=place)
        reach *= GROWTH
    parts.append(_Range(rest, width if not parts else rest.width))
    return parts[::-1]


def _describe(window: Window) -> str:
    return f"{to_text(window.start)} to {'now' if window.is_open_ended else to_text(window.end)}"


def _smaller_page(error: Exception, attempt: _Attempt) -> int | None:
    """A page size that the service may manage where it could not make a larger page in time."""
    if not isinstance(error, RetriesExhaustedError) or attempt.page_size <= SMALLEST_PAGE:
        return None
    is_page_to_blame = error.status is None or error.status >= SERVER_ERROR
    if not is_page_to_blame:
        return None
    # Of a window that no size brought, its parts need not try every size again.
    return SMALLEST_PAGE if attempt.is_suspect else max(SMALLEST_PAGE, attempt.page_size // 4)


@dataclass(frozen=True)
class _HistoryLimit:
    """How far back the Space keeps logs: its own sentence, and the start of the day that this names, if it does."""

    sentence: str
    instant: int | None
    is_of_upper_bound: bool

    def is_after(self, window: Window) -> bool:
        """Whether nothing of a window is kept."""
        if window.is_open_ended:
            return False
        return self.is_of_upper_bound if self.instant is None else window.end <= self.instant


def _history_limit(error: HistoryLimitError) -> _HistoryLimit:
    date = LIMIT_DATE.search(error.limit)
    instant = None
    with suppress(ValueError):
        instant = parse_instant(date.group()) if date else None
    return _HistoryLimit(error.limit, instant, CREATED_BEFORE in str(error))
