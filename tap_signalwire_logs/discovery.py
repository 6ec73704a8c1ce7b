"""Finding the logs of a time range: the list endpoint, window by window, oldest first.

What the service doesn't say is found out: whether it honours timestamps, where its history begins, how full a
window is.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from tap_signalwire_logs.errors import ExhaustedError, FatalError, MissingError, UnauthorizedError
from tap_signalwire_logs.external_sort import ExternalSorter
from tap_signalwire_logs.fetch import Pool
from tap_signalwire_logs.instants import DAY, SECOND, parse_instant, to_text
from tap_signalwire_logs.pagination import walk
from tap_signalwire_logs.windows import (
    TARGET_LOGS,
    Below,
    Bounds,
    Window,
    instants_between,
    is_too_full,
    narrower,
    probe_instant,
    width_after,
    window_from,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    import msgspec

    from tap_signalwire_logs.client import Channel
    from tap_signalwire_logs.pagination import Listed, Page

    Entries = list[tuple[Listed, msgspec.Raw]]
    Entry = tuple[int, str, bytes | None]
    """A log that the list showed: created_at, ID, and its JSON where it will be needed."""

Taken = TypeVar("Taken")

logger = logging.getLogger("tap-signalwire-logs.discovery")

SMALLEST_PAGE = 10
SHORT_PAGE = 100
SERVER_ERROR = 500
LIMIT_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
CREATED_BEFORE = "(created_before)"
"""How an error of the service tells that it is the upper bound which it refuses."""

MOST_ABREAST = 16
"""Windows that are listed side by side where their records are what the run is after."""

AHEAD_OF_GETS = 1
"""The same where the gets take longer than the listing."""

WINDOWS_PER_WALKER = 2
"""Windows begun for each that may be listed at a time: those that are walked wait on disk for their turn."""

PROBES_ABREAST = 8
"""Questions that are asked at once about where a range's first log is."""

ROUNDS_OF_PROBES = 2

NARROW = 4 * DAY
"""Windows under which a list asked in days holds much more than the window."""

RECORDS_IN_MEMORY = 100
IDS_IN_MEMORY = 5_000


@dataclass
class Found:
    """A window whose list was walked to its end."""

    window: Window
    entries: ExternalSorter[Entry]


@dataclass
class _Seen:
    """What a walk has seen so far: all entries counted, those of the window kept."""

    window: Window
    entries: ExternalSorter[Entry]
    keep_records: bool
    count: int = 0
    least: int | None = None
    most: int | None = None

    @property
    def span(self) -> int:
        """Microseconds between the first and the last log of the window."""
        return 0 if self.least is None or self.most is None else self.most - self.least

    def add(self, entries: Entries, instants: list[int]) -> None:
        """Take a page's entries with their created_at."""
        self.count += len(entries)
        start, end, keep_records = self.window.start, self.window.end, self.keep_records
        kept: list[Entry] = [
            (created, listed.id, bytes(raw) if keep_records or listed.discarded_at is not None else None)
            for created, (listed, raw) in zip(instants, entries, strict=True)
            if start <= created < end
        ]
        if kept:
            self.entries.extend(kept)
            inside = [entry[0] for entry in kept]
            self.least = min(self.least or end, *inside)
            self.most = max(self.most or start, *inside)


@dataclass(frozen=True)
class _TooFull:
    window: Window
    logs: int
    span: int


class Discovery:
    """Lists one family of logs.

    Args:
        channel: The Space.
        path: The list endpoint.
        page_size: Logs on one page.
        include_deleted: Whether deleted logs are listed too.
        keep_records: Whether entries keep their record. Stubs of deleted logs always do.
    """

    def __init__(
        self, channel: Channel, path: str, *, page_size: int, include_deleted: bool, keep_records: bool
    ) -> None:
        """Nothing is asked yet."""
        self._channel = channel
        self._path = path
        self._page_size = page_size
        self._include_deleted = include_deleted
        self._keep_records = keep_records
        self._run_length = RECORDS_IN_MEMORY if keep_records else IDS_IN_MEMORY
        self._most_abreast = MOST_ABREAST if keep_records else AHEAD_OF_GETS
        self._abreast = 1
        self._pool = Pool(max(self._most_abreast, PROBES_ABREAST), "list")
        self._bounds: Bounds | None = None
        self._finding = threading.Lock()
        self._start: int | None = None
        self._limit_said = False

    def windows(self, start: int | None, end: int) -> Iterator[Found]:
        """Windows from `start` (None: all that is kept) to `end`, ascending, each walked to its end.

        The first window is the whole range, for most runs are small. One that is too full is narrowed; the windows
        after it follow how full they are, and are listed side by side while they are full.

        Raises:
            FatalError, UnauthorizedError, ExhaustedError: The list can't be walked to its end.
        """
        self._start = start
        try:
            whole = Window(start or 0, end, Below.OPEN if start is None else Below.SPARE)
            yield from self._cut(whole, whole.width)
        finally:
            self._pool.close()

    def _cut(self, whole: Window, width: int) -> Iterator[Found]:
        plan: deque[tuple[Window, Future[Found | _TooFull]]] = deque()
        cursor, below = whole.start, whole.below
        while plan or cursor < whole.end:
            while cursor < whole.end and len(plan) < self._abreast * WINDOWS_PER_WALKER:
                window = window_from(cursor, whole.end, width, self._bounds or Bounds.DAYS, below)
                plan.append((window, self._pool.submit(partial(self._list, window))))
                cursor, below = window.end, Below.SPARE
            window, listing = plan.popleft()
            outcome = listing.result()
            if isinstance(outcome, Found):
                yield outcome
                width = width_after(window.width, outcome.entries.count)
                is_full = outcome.entries.count * 4 > TARGET_LOGS
                self._abreast = min(self._abreast * 2, self._most_abreast) if is_full else 1
            else:
                width = narrower(outcome.window, outcome.logs, outcome.span, self._bounds or Bounds.DAYS)
                self._abreast = self._most_abreast
                yield from self._cut(self._without_quiet(outcome.window, width), width)

    def _list(self, window: Window) -> Found | _TooFull:
        """Walk one window, with smaller pages where the service can't make large ones, as far back as it keeps logs."""
        while True:
            page_size = self._page_size
            try:
                return self._walk(window, page_size)
            except MissingError as error:
                limit = _history_limit(error)
                self._say_limit(limit)
                if window.below is Below.SPARE:
                    window = replace(window, below=Below.OPEN)
                elif limit.is_after(window):
                    return Found(window, ExternalSorter(itemgetter(0, 1)))
                elif window.below is Below.OPEN and limit.instant is not None:
                    window = Window(max(window.start, limit.instant), window.end, Below.EXACT)
                else:
                    message = f"{error}; the list can't be read to its end; set `start_date` to a later date"
                    raise FatalError(message) from None
            except ExhaustedError as error:
                if error.status is None or error.status < SERVER_ERROR or page_size <= SMALLEST_PAGE:
                    raise
                self._shrink_pages(page_size, error)

    def _shrink_pages(self, tried: int, error: ExhaustedError) -> None:
        with self._finding:
            if self._page_size == tried:
                self._page_size = max(SMALLEST_PAGE, tried // 4)
                logger.warning("%s; trying pages of %d logs", error, self._page_size)

    def _walk(self, window: Window, page_size: int) -> Found | _TooFull:
        bounds = self._bounds or Bounds.DAYS
        can_narrow = window.width > bounds.finest
        seen = _Seen(
            window, ExternalSorter(itemgetter(0, 1), run_length=self._run_length), keep_records=self._keep_records
        )
        for number, page in enumerate(self._pages(window, bounds, page_size, self._take(seen))):
            if page.next and self._bounds is None:
                self._find_bounds(page.taken)
                if self._bounds and self._bounds is not bounds and window.width < NARROW:
                    seen.entries.close()
                    return self._walk(window, page_size)
            if page.next and number and can_narrow and is_too_full(seen.count, seen.span, window):
                seen.entries.close()
                return _TooFull(window, seen.entries.count, seen.span)
        return Found(window, seen.entries)

    def _pages(
        self, window: Window, bounds: Bounds, page_size: int, take: Callable[[Entries], Taken]
    ) -> Iterator[Page[Taken]]:
        for question in window.questions(bounds):
            parameters: dict[str, str | int] = {**question, "page_size": page_size}
            if self._include_deleted:
                parameters["include_deleted"] = "true"
            yield from walk(self._channel, self._path, parameters, take)

    def _take(self, seen: _Seen) -> Callable[[Entries], list[int]]:
        """Takes what lies in the window out of a page; gives the created_at of all its entries."""

        def take(entries: Entries) -> list[int]:
            instants = self._instants(entries)
            seen.add(entries, instants)
            return instants

        return take

    def _instants(self, entries: Entries) -> list[int]:
        try:
            return [parse_instant(listed.created_at) for listed, _ in entries]
        except ValueError:
            message = f"GET {self._path}: a log of the list has a `created_at` that is no date-time"
            raise FatalError(message) from None

    def _find_bounds(self, created: list[int]) -> None:
        """Find the boundary rule, where a list of more than one page makes it worth a question."""
        with self._finding:
            instant = probe_instant(created)
            if instant is not None and self._bounds is None:
                self._bounds = self._probe_bounds(instant)
                logger.debug("the list takes its bounds as %s", self._bounds.value)

    def _probe_bounds(self, instant: int) -> Bounds:
        """Ask for two seconds around a known log: only where they hold it and nothing else are timestamps honoured."""
        window = Window(instant, instant + 1)
        try:
            page = next(self._pages(window, Bounds.TIMESTAMPS, self._page_size, self._instants), None)
        except UnauthorizedError:
            raise
        except (FatalError, MissingError):
            return Bounds.DAYS
        honoured = page and page.taken and all(abs(created - instant) <= 2 * SECOND for created in page.taken)
        return Bounds.TIMESTAMPS if honoured else Bounds.DAYS

    def _without_quiet(self, window: Window, width: int) -> Window:
        """The window from a point with no log of it before: quiet years are cut off instead of walked."""
        bounds = self._bounds or Bounds.DAYS
        none_before, some_before = window.start, window.end - max(width, SECOND)
        for _ in range(ROUNDS_OF_PROBES):
            ends = instants_between(none_before, some_before, window.end, PROBES_ABREAST, bounds)
            parts = [replace(window, end=end) for end in ends]
            asked = [self._pool.submit(partial(self._holds_any, before, bounds)) for before in parts]
            for before, holds_any in zip(parts, asked, strict=True):
                if holds_any.result():
                    some_before = before.end
                    break
                none_before = before.end
        return replace(window, start=none_before)

    def _holds_any(self, window: Window, bounds: Bounds) -> bool:
        try:
            # What days leave to spare may hold thousands of logs beside the window; two seconds hold few.
            page_size = self._page_size if bounds is Bounds.DAYS else min(self._page_size, SHORT_PAGE)
            pages = self._pages(window, bounds, page_size, self._instants)
            return any(window.holds(created) for page in pages for created in page.taken)
        except MissingError as error:
            return not _history_limit(error).is_after(window)

    def _say_limit(self, limit: _HistoryLimit) -> None:
        """Say once that the range begins before the kept history."""
        if self._start is None or (limit.instant is not None and self._start >= limit.instant):
            return
        with self._finding:
            is_said, self._limit_said = self._limit_said, True
        if is_said:
            return
        logger.warning(
            "The Space keeps its logs %s; what was created from %s until then is not to be had any more, "
            "and the run goes on from there",
            f"only so far ({limit.sentence})" if limit.instant is None else f"from {to_text(limit.instant)[:10]} on",
            to_text(self._start),
        )


@dataclass(frozen=True)
class _HistoryLimit:
    """How far back the Space keeps logs: its own sentence, and the start of the day that this names, if it does."""

    sentence: str
    instant: int | None

    def is_after(self, window: Window) -> bool:
        """Whether nothing of a window is kept."""
        return CREATED_BEFORE in self.sentence if self.instant is None else window.end <= self.instant


def _history_limit(error: MissingError) -> _HistoryLimit:
    """The limit of which a list's refusal tells.

    Raises:
        FatalError: It tells of none: there is no such list.
    """
    if not error.history_limit:
        message = f"{error}; check `space`"
        raise FatalError(message) from None
    date = LIMIT_DATE.search(error.history_limit)
    try:
        instant = parse_instant(date.group()) if date else None
    except ValueError:
        instant = None
    return _HistoryLimit(error.history_limit, instant)
