"""A family of logs as a stream: `LogStream.get_records` is the whole sync, read from top to bottom."""

from __future__ import annotations

import time
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from singer_sdk import SchemaDirectory, StreamSchema
from singer_sdk.exceptions import FatalSyncError
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_signalwire_logs import schemas
from tap_signalwire_logs.discovery import Discovery, Found
from tap_signalwire_logs.errors import MissingError, Stopped
from tap_signalwire_logs.exact_json import encode_json
from tap_signalwire_logs.external_sort import ExternalSorter
from tap_signalwire_logs.fetch import Prefetch, in_order
from tap_signalwire_logs.instants import in_micros, parse_instant, to_micros
from tap_signalwire_logs.progress import Progress
from tap_signalwire_logs.records import Reader
from tap_signalwire_logs.singer import SingerStream
from tap_signalwire_logs.source import LogSource, PartSource
from tap_signalwire_logs.state import LogState

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from tap_signalwire_logs.client import Channel
    from tap_signalwire_logs.settings import ConfiguredIds
    from tap_signalwire_logs.tap import TapSignalWireLogs

    Record = dict[str, Any]

AHEAD_PER_REQUEST = 4
"""Records that may be fetched before their turn, for each request in flight: one slow answer doesn't idle the rest."""

SETTLED_AFTER = timedelta(hours=1)
"""Time without a change after which a log that tells when it last changed, and has a final status, is final."""

STATE_SHARE = 0.01
RECORD_BYTES = 500
STATE_EVERY_SECONDS = 30.0
NAMED_MISSING = 10


class MissingLogsError(FatalSyncError):
    """Logs were not there, and `on_missing` asks to fail."""


@dataclass(slots=True)
class Log:
    """A log on its way: what is known of it; `listed` is the list entry's JSON where it may be the record."""

    log_id: str
    created: int | None = None
    listed: bytes | None = None
    share: float = 0.0


@dataclass(frozen=True)
class WindowClosed:
    """Every log before this mark has been emitted; `newest` is the latest created_at among them."""

    newest: int | None


class Due:
    """Logs that wait and are to be looked at in this run, by created_at and ID; each is handed on once.

    One that is listed is known by its ID: what the list says of its created_at may have changed.
    """

    def __init__(self, logs: Iterable[tuple[int, str]]) -> None:
        """Take them in their order."""
        self._queue = deque(logs)
        self._left = {log_id for _, log_id in self._queue}
        self._handed_on: set[str] = set()

    def __bool__(self) -> bool:
        """Whether there were any."""
        return bool(self._left or self._handed_on)

    def before(self, place: tuple[int, str] | None) -> Iterator[Log]:
        """Those before a place of the order, or all that are left."""
        while self._queue and (place is None or self._queue[0] < place):
            created, log_id = self._queue.popleft()
            if log_id in self._left:
                self._left.remove(log_id)
                self._handed_on.add(log_id)
                yield Log(log_id, created)

    def gives_way_to(self, log_id: str) -> bool:
        """Whether a listed log is still to be handed on; it is then none of these any more."""
        if log_id in self._left:
            self._left.remove(log_id)
            return True
        return log_id not in self._handed_on


class LogStream(SingerStream):
    """One family of logs: a list endpoint, mostly a get endpoint, and records that change until they are final.

    A subclass states facts.
    """

    path: ClassVar[str]
    """The list endpoint; a log's get endpoint is this and its ID."""
    scope: ClassVar[str]
    """The API token's scope that they need."""
    ids_setting: ClassVar[str | None]
    """The setting that names logs; None where there is no get endpoint."""
    subresource: ClassVar[str | None] = None
    """Where the records are not the logs but what each has of its own: the last segment of its path."""
    final_statuses: ClassVar[frozenset[str]]
    """Statuses that change no more."""
    charge_required_when: ClassVar[Mapping[str, tuple[str, ...]]]
    """Logs that are final only once they have a charge: for each of these fields, how its value begins."""

    schema: ClassVar[StreamSchema] = StreamSchema(SchemaDirectory(schemas))
    selected_by_default = False
    primary_keys: ClassVar[tuple[str, ...]] = ("id",)
    replication_key = "created_at"

    _tap: TapSignalWireLogs

    def __init__(self, tap: TapSignalWireLogs) -> None:
        """Take the checked settings from the tap."""
        super().__init__(tap)
        self._records_since_state = 0
        self._last_state = time.monotonic()

    def extract(self) -> Iterator[list[bytes]]:
        """Every record of the run, in order: configured logs, or the waiting and the discovered ones.

        Source: `GET {path}/{id}` for each log, or the entry of `GET {path}` with `record_source: list`.

        Raises:
            FatalError, UnauthorizedError, ExhaustedError: What was asked for can't be had whole.
            MissingLogsError: All came out but some that are not there, and `on_missing` is `fail`.
        """
        settings, stop = self._tap.settings, self._tap.stop
        now = to_micros(self._tap.began)
        channel = self._tap.client.channel(self.scope)
        progress = Progress(self.name, channel.counts, self.logger)
        state = LogState(
            self.stream_state if self._keeps_state else {},
            replication_key=self.replication_key,
            now=now,
            lookback=in_micros(settings.lookback),
            refresh=in_micros(settings.refresh),
            lists_again=self.ids_setting is None,
            shared_by=self._streams_in_state,
        )
        source = self._source(channel)
        logs: Generator[Log | WindowClosed | None, None, None]
        logs = self._discovered(channel, state, now) if self._ids is None else self._configured(self._ids)
        results: Iterator[tuple[Log | WindowClosed, Future[Any] | None]] = in_order(
            logs,
            lambda log: None if isinstance(log, WindowClosed) else source.begin(log),
            ahead=settings.concurrency * AHEAD_PER_REQUEST,
            stop=stop,
            before_wait=self.flush,
        )
        outcome = "failed"
        try:
            yield from self._emit(results, source, state, progress)
            outcome = "done"
        except GeneratorExit:
            outcome = "stopped" if stop.is_set() else "done"
            raise
        except Stopped:
            outcome = "stopped"
        finally:
            progress.records = self.written
            self.flush()
            logs.close()
            if self._ids is None:
                progress.waiting = len(state.waiting)
                progress.oldest_waiting = min((one.created for one in state.waiting.values()), default=None)
            progress.finish(outcome)

    def _source(self, channel: Channel) -> LogSource:
        read = Reader(self.schema, self.name)
        if self.subresource:
            return PartSource(channel, self.path, self.subresource, read)
        return LogSource(
            channel, self.path, read, takes_entries=self._takes_entries, has_get=self.ids_setting is not None
        )

    def is_final(self, record: Mapping[str, Any]) -> bool:
        """Whether the service will change a log no more."""
        if record.get("discarded_at"):
            return True
        if record.get("status") not in self.final_statuses or self._is_unsettled(record):
            return False
        for field, beginnings in self.charge_required_when.items():
            if not str(record.get(field) or "").startswith(beginnings):
                return True
        return _is_some(record.get("charge"))

    def _is_unsettled(self, record: Mapping[str, Any]) -> bool:
        """Whether a log that tells when it last changed did so only lately: a recording follows its conference."""
        updated_at = record.get("updated_at")
        if not updated_at:
            return False
        with suppress(ValueError):
            return to_micros(self._tap.began) - parse_instant(updated_at) < in_micros(SETTLED_AFTER)
        return True

    @property
    def _takes_entries(self) -> bool:
        """Whether a list entry is all that is wanted of a log itself."""
        return self.subresource is not None or self.ids_setting is None or self._tap.settings.record_source == "list"

    @property
    def _ids(self) -> ConfiguredIds | None:
        return self._tap.settings.ids.get(self.ids_setting) if self.ids_setting else None

    @property
    def _keeps_state(self) -> bool:
        return self.replication_method != REPLICATION_FULL_TABLE and self._ids is None

    @property
    def _streams_in_state(self) -> int:
        """Streams of which a STATE of this run tells."""
        selected = {name for name, stream in self._tap.streams.items() if stream.selected}
        return len(selected | self._tap.state.get("bookmarks", {}).keys() | {self.name})

    def _configured(self, ids: ConfiguredIds) -> Generator[Log, None, None]:
        """Configured logs in their order, each once: sorted by ID to drop the repeated, then by place again."""
        by_id: ExternalSorter[tuple[str, int]] = ExternalSorter(itemgetter(0))
        for place, log_id in enumerate(ids):
            by_id.add((log_id, place))
        in_place: ExternalSorter[tuple[int, str]] = ExternalSorter(itemgetter(0))
        for log_id, place in by_id.drain():
            in_place.add((place, log_id))
        for place, log_id in in_place.drain():
            yield Log(log_id, share=(place + 1) / by_id.count)

    def _discovered(
        self, channel: Channel, state: LogState, now: int
    ) -> Generator[Log | WindowClosed | None, None, None]:
        """Waiting logs and those of each window, by created_at and ID; a mark after each window; None while listing."""
        settings = self._tap.settings
        start = to_micros(settings.start_date) if settings.start_date else None
        if state.discover_from is not None:
            start = max(state.discover_from, start or 0)
        end = to_micros(settings.end_date) if settings.end_date else now
        if start is not None and start >= end:
            self.logger.warning("`start_date` is still to come: nothing is discovered before")
        discovery = Discovery(
            channel,
            self.path,
            page_size=settings.page_size,
            include_deleted=settings.include_deleted,
            keep_records=self._takes_entries or settings.include_deleted,
        )
        # Where there is no get, a log outside of the range is not seen in this run, and goes on waiting.
        waiting = Due(due for due in state.due() if self.ids_setting or (start or 0) <= due[0] < end)
        windows = Prefetch(discovery.windows(start, end), f"{self.name}-list", self._tap.stop)
        with closing(windows):
            for found in windows:
                if found is None:
                    yield None
                    continue
                newest = None
                for log in _merged(waiting, found):
                    newest = created = log.created or 0
                    start = start or created
                    if not state.needs_no_fetch(log.log_id):
                        log.share = (created - start) / max(end - start, 1)
                        yield log
                yield WindowClosed(newest)
        for log in waiting.before(None):
            log.share = 1.0
            yield log
        yield WindowClosed(None)

    def _emit(
        self,
        results: Iterator[tuple[Log | WindowClosed, Future[Any] | None]],
        source: LogSource,
        state: LogState,
        progress: Progress,
    ) -> Iterator[list[bytes]]:
        """Records to write; what is noted of a log is noted once they are written, and kept once its window closes."""
        missing: list[str] = []
        for log, future in results:
            if self._tap.stop.is_set():
                raise Stopped
            if isinstance(log, WindowClosed):
                state.commit(log.newest)
                self._state_is_due()
                progress.closed()
                continue
            progress.at(log.share)
            try:
                record, records = source.answer(log, future)
            except MissingError as error:
                progress.missing += 1
                state.forget(log.log_id)
                missing.append(log.log_id)
                self._warn_of_missing(error, progress.missing)
                continue
            is_final = self.is_final(record)
            was_waiting = log.log_id in state.waiting
            if was_waiting and state.is_unchanged(log.log_id, records, is_final=is_final):
                continue
            before = self.written
            yield [encode_json(one) for one in records]
            progress.records += self.written - before
            progress.refreshed += len(records) if was_waiting else 0
            self._records_since_state += len(records)
            if log.created is not None:
                state.emitted(log.log_id, log.created, records, is_final=is_final)
        if missing and self._tap.settings.fail_on_missing:
            named = ", ".join(missing[:NAMED_MISSING]) + (" and more" if len(missing) > NAMED_MISSING else "")
            message = (
                f"{len(missing)} logs are not there: {named}; all others came out. Take them out of the IDs, or set "
                "`on_missing` to `warn` to go on without them"
            )
            raise MissingLogsError(message)

    def _state_is_due(self) -> None:
        """Write the state that a closed window left, unless STATE would be more than a hundredth of the output."""
        if not self._keeps_state:
            return
        size = len(msgspec.json.encode(self.stream_state))
        since = time.monotonic() - self._last_state
        if self._records_since_state * RECORD_BYTES * STATE_SHARE >= size or since >= STATE_EVERY_SECONDS:
            self.write_state()
            self._records_since_state = 0
            self._last_state = time.monotonic()

    def _warn_of_missing(self, error: MissingError, number: int) -> None:
        if number <= NAMED_MISSING:
            self.logger.warning(
                "%s: the log is not there%s",
                error,
                "" if number < NAMED_MISSING else "; more follow, which are only counted",
            )


def _is_some(charge: Any) -> bool:
    """Whether a charge, which may be sent as text, is more than nothing."""
    if isinstance(charge, Decimal):
        return bool(charge)
    try:
        return bool(Decimal(str(charge)))
    except InvalidOperation:
        return False


def _merged(waiting: Due, found: Found) -> Iterator[Log]:
    """Logs of a window together with those waiting from before its end, by created_at and ID, each once."""
    if not waiting:
        yield from (Log(log_id, created, listed) for created, log_id, listed in found.entries.drain())
        return
    for created, log_id, listed in found.entries.drain():
        yield from waiting.before((created, log_id))
        if waiting.gives_way_to(log_id):
            yield Log(log_id, created, listed)
    yield from waiting.before((found.window.end, ""))
