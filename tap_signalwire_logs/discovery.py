"""Finding the logs of a time range: the list endpoint, window by window, oldest first.

What the service doesn't say is found out: whether it honours timestamps, where its history begins, how full a
window is.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_signalwire_logs.client import ExhaustedError, FatalError, MissingError, UnauthorizedError, encode_json
from tap_signalwire_logs.pagination import walk
from tap_signalwire_logs.spool import Spool
from tap_signalwire_logs.windows import (
    DAY,
    MOST_LOGS,
    SECOND,
    Bounds,
    Window,
    narrower,
    parse_created_at,
    probe_instant,
    to_text,
    width_after,
    window_from,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_signalwire_logs.client import Client

logger = logging.getLogger("tap-signalwire-logs.discovery")

SMALLEST_PAGE = 10
SERVER_ERROR = 500
LIMIT_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Entry(NamedTuple):
    """A log that the list showed; `record` is the entry's JSON where it will be needed, else None.

    As JSON it takes a quarter of the memory.
    """

    created: int
    log_id: str
    record: bytes | None


@dataclass
class Found:
    """A window whose list was walked to its end."""

    window: Window
    entries: Spool[Entry]


@dataclass(frozen=True)
class _TooFull:
    logs: int
    span: int


@dataclass(frozen=True)
class _RuleUnknown:
    """More than one page, while the boundary rule is not known: worth finding out before walking on."""

    created: list[int]


class Discovery:
    """Lists one family of logs.

    Args:
        client: The Space.
        path: The list endpoint.
        scope: The API token's scope that it needs.
        page_size: Logs on one page.
        include_deleted: Whether deleted logs are listed too.
        keep_records: Whether entries keep their record. Stubs of deleted logs always do.
    """

    def __init__(
        self, client: Client, path: str, *, scope: str, page_size: int, include_deleted: bool, keep_records: bool
    ) -> None:
        """Nothing is asked yet."""
        self._client = client
        self._path = path
        self._scope = scope
        self._page_size = page_size
        self._include_deleted = include_deleted
        self._keep_records = keep_records
        self._bounds: Bounds | None = None
        self._limit_said = False

    def windows(self, start: int | None, end: int) -> Iterator[Found]:
        """Windows from `start` (None: all that is kept) to `end`, ascending, each walked to its end.

        The first window is the whole range, for most runs are small. One that is too full is narrowed; the windows
        after it follow how full they are.

        Raises:
            FatalError, UnauthorizedError, ExhaustedError: The list can't be walked to its end.
        """
        open_below = start is None
        cursor = start or 0
        width = end - cursor
        while cursor < end:
            window = window_from(cursor, end, width, self._bounds or Bounds.DAYS, open_below=open_below)
            outcome = self._list(window)
            if isinstance(outcome, _RuleUnknown):
                self._bounds = self._find_bounds(outcome.created)
            elif isinstance(outcome, _TooFull):
                width = narrower(window, outcome.logs, outcome.span, self._bounds or Bounds.DAYS)
                if window.width > 2 * DAY:
                    cursor = self._first_log(window, max(width, SECOND))
            else:
                yield outcome
                cursor, open_below = window.end, False
                width = width_after(window.width, outcome.entries.count)

    def _list(self, window: Window) -> Found | _TooFull | _RuleUnknown:
        """Walk one window, with smaller pages where the service can't make large ones."""
        while True:
            try:
                return self._walk(window)
            except MissingError as error:
                if window.open_below or not error.history_limit:
                    if error.history_limit:
                        return Found(window, Spool(itemgetter(0, 1)))
                    raise FatalError(str(error)) from None
                self._say_limit(window, error.history_limit)
                window = Window(window.start, window.end, open_below=True)
            except ExhaustedError as error:
                if error.status is None or error.status < SERVER_ERROR or self._page_size <= SMALLEST_PAGE:
                    raise
                self._page_size = max(SMALLEST_PAGE, self._page_size // 4)
                logger.warning("%s; trying pages of %d logs", error, self._page_size)

    def _walk(self, window: Window) -> Found | _TooFull | _RuleUnknown:
        bounds = self._bounds or Bounds.DAYS
        spool: Spool[Entry] = Spool(itemgetter(0, 1))
        can_narrow = window.width > bounds.finest
        seen = 0
        least, most = window.end, window.start
        created_on_page: list[int] = []
        for number, page in enumerate(self._pages(window, bounds, self._page_size)):
            if number == 1 and self._bounds is None and probe_instant(created_on_page) is not None:
                spool.close()
                return _RuleUnknown(created_on_page)
            if number and can_narrow and seen >= MOST_LOGS:
                count = spool.count
                spool.close()
                return _TooFull(count, max(most - least, 0))
            seen += len(page)
            created_on_page = []
            for entry in page:
                created = self._created(entry)
                created_on_page.append(created)
                if window.holds(created):
                    least, most = min(least, created), max(most, created)
                    keep = self._keep_records or entry.get("discarded_at") is not None
                    spool.add(Entry(created, entry["id"], encode_json(entry) if keep else None))
        return Found(window, spool)

    def _pages(self, window: Window, bounds: Bounds, page_size: int) -> Iterator[list[dict[str, Any]]]:
        parameters: dict[str, str | int] = {**window.parameters(bounds), "page_size": page_size}
        if self._include_deleted:
            parameters["include_deleted"] = "true"
        return walk(self._client, self._path, parameters, scope=self._scope)

    def _created(self, entry: dict[str, Any]) -> int:
        try:
            return parse_created_at(entry["created_at"])
        except ValueError:
            message = f"GET {self._path}: the log {entry['id']} has a `created_at` that is no date-time"
            raise FatalError(message) from None

    def _find_bounds(self, created: list[int]) -> Bounds:
        """Ask for two seconds around a known log: only where they hold it and nothing else are timestamps honoured."""
        instant = probe_instant(created)
        if instant is None:
            return Bounds.DAYS
        window = Window(instant, instant + 1)
        try:
            page = next(self._pages(window, Bounds.TIMESTAMPS, self._page_size), [])
        except UnauthorizedError:
            raise
        except (FatalError, MissingError):
            return Bounds.DAYS
        honoured = page and all(abs(self._created(entry) - instant) <= 2 * SECOND for entry in page)
        bounds = Bounds.TIMESTAMPS if honoured else Bounds.DAYS
        logger.debug("the list takes its bounds as %s", bounds.value)
        return bounds

    def _first_log(self, window: Window, precision: int) -> int:
        """A point of the window with no log of it before: quiet years are halved away instead of walked."""
        low, high = window.start, window.end
        bounds = self._bounds or Bounds.DAYS
        while high - low > max(precision, bounds.finest):
            part = window_from(window.start, window.end, (low + high) // 2 - window.start, bounds)
            middle = part.end
            if not low < middle < high:
                break
            if self._holds_any(Window(window.start, middle, window.open_below), bounds):
                high = middle
            else:
                low = middle
        return low

    def _holds_any(self, window: Window, bounds: Bounds) -> bool:
        try:
            # Full pages: what the bounds leave to spare may hold thousands of logs beside the window.
            pages = self._pages(window, bounds, self._page_size)
            return any(window.holds(self._created(entry)) for page in pages for entry in page)
        except MissingError as error:
            if error.history_limit:
                return False
            raise FatalError(str(error)) from None

    def _say_limit(self, window: Window, sentence: str) -> None:
        if self._limit_said:
            return
        self._limit_said = True
        date = LIMIT_DATE.search(sentence)
        kept = f"from {date.group()} on" if date else f"only so far ({sentence})"
        logger.warning(
            "The Space keeps its logs %s; what was created from %s until then is not to be had any more, "
            "and the run goes on from there",
            kept,
            to_text(window.start),
        )
