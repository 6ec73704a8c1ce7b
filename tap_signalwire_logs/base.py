"""A family of logs as a stream: `LogStream.get_records` is the whole sync, read from top to bottom."""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from singer_sdk.exceptions import FatalSyncError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from singer_sdk.streams import Stream

from tap_signalwire_logs.discovery import Discovery, Found
from tap_signalwire_logs.errors import FatalError, MissingError, NoAnswerError, Stopped
from tap_signalwire_logs.fetch import Prefetch, in_order
from tap_signalwire_logs.progress import Progress
from tap_signalwire_logs.records import Reader
from tap_signalwire_logs.spool import Spool
from tap_signalwire_logs.state import LogState
from tap_signalwire_logs.windows import to_micros

if TYPE_CHECKING:
    import logging
    from collections.abc import Generator, Iterator, Mapping
    from concurrent.futures import Future

    from singer_sdk.helpers.types import Context

    from tap_signalwire_logs.client import Channel
    from tap_signalwire_logs.tap import TapSignalWireLogs

    Record = dict[str, Any]

REPLICATION_KEY = "created_at"

AHEAD_PER_REQUEST = 4
"""Records that may be fetched before their turn, for each request in flight: one slow answer doesn't idle the rest."""

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


class LogStream(Stream):
    """One family of logs: a list endpoint, a get endpoint, and records that change until they are final.

    A subclass states facts: `path`, `scope`, `final_statuses`, `charged_directions`.
    """

    path: ClassVar[str]
    """The list endpoint; a log's get endpoint is this and its ID."""
    scope: ClassVar[str]
    """The API token's scope that both need."""
    final_statuses: ClassVar[frozenset[str]]
    """Statuses that change no more."""
    charged_directions: ClassVar[tuple[str, ...]]
    """Beginnings of the directions whose logs are final only once they have a charge."""

    primary_keys = ("id",)
    replication_key = REPLICATION_KEY
    # The shaper fits records to the schema: cheaper than the SDK's conforming, and exact with money.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    # The stream writes its state itself, when a window closes.
    STATE_MSG_FREQUENCY = sys.maxsize

    _tap: TapSignalWireLogs

    def __init__(self, tap: TapSignalWireLogs) -> None:
        """Take the checked settings from the tap."""
        super().__init__(tap)
        # The tap ends with one line that says what to do; the SDK's own, before it, would say nothing.
        self.logger.addFilter(_is_not_the_line_on_unhandled_errors)
        self._records_since_state = 0
        self._last_state = time.monotonic()

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002 - there are no partitions
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
            replication_key=REPLICATION_KEY,
            now=now,
            lookback=to_microseconds(settings.lookback),
            refresh=to_microseconds(settings.refresh),
            is_final=self.is_final,
        )
        read = Reader(self.schema, self.name)
        logs: Generator[Log | WindowClosed | None, None, None]
        logs = self._configured() if settings.has_configured_ids else self._discovered(channel, state, now)
        results: Iterator[tuple[Log | WindowClosed, Future[Record] | None]] = in_order(
            logs,
            partial(self._begin, channel=channel, read=read),
            ahead=settings.concurrency * AHEAD_PER_REQUEST,
            stop=stop,
            before_wait=self._flush,
        )
        outcome = "failed"
        try:
            yield from self._emit(results, read, state, progress)
            outcome = "done"
        except Stopped:
            outcome = "stopped"
        except Exception:
            self._write_state_message()
            raise
        finally:
            self._flush()
            logs.close()
            progress.waiting = 0 if settings.has_configured_ids else len(state.waiting)
            progress.finish(outcome)

    def is_final(self, record: Mapping[str, Any]) -> bool:
        """Whether the service will change a record no more."""
        if record.get("discarded_at"):
            return True
        if record.get("status") not in self.final_statuses:
            return False
        is_charged = str(record.get("direction") or "").startswith(self.charged_directions)
        return not is_charged or bool(record.get("charge"))

    @property
    def _keeps_state(self) -> bool:
        return self.replication_method != REPLICATION_FULL_TABLE and not self._tap.settings.has_configured_ids

    def _configured(self) -> Generator[Log, None, None]:
        """Configured logs in their order, each once: sorted by ID to drop the repeated, then by place again."""
        by_id: Spool[tuple[str, int]] = Spool(itemgetter(0))
        for place, log_id in enumerate(self._tap.settings.configured_ids()):
            by_id.add((log_id, place))
        in_place: Spool[tuple[int, str]] = Spool(itemgetter(0))
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
        discovery = Discovery(
            channel,
            self.path,
            page_size=settings.page_size,
            include_deleted=settings.include_deleted,
            keep_records=settings.record_source == "list",
        )
        waiting = deque(state.due())
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
        for created, log_id in waiting:
            yield Log(log_id, created, share=1.0)
        yield WindowClosed(None)

    def _begin(self, log: Log | WindowClosed, channel: Channel, read: Reader) -> Future[Record] | None:
        if isinstance(log, WindowClosed) or (log.listed and self._tap.settings.record_source == "list"):
            return None
        return channel.submit(f"{self.path}/{log.log_id}", decode=partial(_read_answer, read, log.log_id))

    def _emit(
        self,
        results: Iterator[tuple[Log | WindowClosed, Future[Record] | None]],
        read: Reader,
        state: LogState,
        progress: Progress,
    ) -> Iterator[Record]:
        """Records to write; what is noted of one is noted once it is written, and kept once its window closes."""
        missing: list[str] = []
        for log, answer in results:
            if self._tap.stop.is_set():
                raise Stopped
            if isinstance(log, WindowClosed):
                state.commit(log.newest)
                self._state_is_due()
                progress.closed()
                continue
            progress.at(log.share)
            try:
                record = answer.result() if answer else self._read_entry(read, log)
            except MissingError as error:
                if not log.listed:
                    progress.missing += 1
                    state.forget(log.log_id)
                    missing.append(log.log_id)
                    self._warn_of_missing(error, progress.missing)
                    continue
                # A deleted log may have nothing but its stub in the list.
                record = self._read_entry(read, log)
            was_waiting = log.log_id in state.waiting
            if was_waiting and state.is_unchanged(log.log_id, record):
                continue
            yield record
            progress.records += 1
            progress.refreshed += was_waiting
            self._records_since_state += 1
            if log.created is not None:
                state.emitted(log.log_id, log.created, record)
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
        self.state_manager.is_flushed = False
        size = len(msgspec.json.encode(self.stream_state))
        since = time.monotonic() - self._last_state
        if self._records_since_state * RECORD_BYTES * STATE_SHARE >= size or since >= STATE_EVERY_SECONDS:
            self._write_state_message()
            self._records_since_state = 0
            self._last_state = time.monotonic()

    def _read_entry(self, read: Reader, log: Log) -> Record:
        try:
            record = read(log.listed or b"")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = None
        if record is None:
            message = f"GET {self.path}: the entry of {log.log_id} can't be read; run again later, the state is true"
            raise FatalError(message)
        return record

    def _warn_of_missing(self, error: MissingError, number: int) -> None:
        if number <= NAMED_MISSING:
            self.logger.warning(
                "%s: the log is not there%s",
                error,
                "" if number < NAMED_MISSING else "; more follow, which are only counted",
            )

    def _write_record_message(self, record: Record) -> None:
        """Write a record as the SDK does, with what is the same for every record found out once."""
        if self._tap.writer and self._is_plain:
            self._tap.writer.write_record(self.stream_maps[0].stream_alias, record, self._stream_version)
            self.state_manager.is_flushed = False
        else:
            super()._write_record_message(record)

    def _flush(self) -> None:
        if self._tap.writer:
            self._tap.writer.flush()

    @cached_property
    def _is_plain(self) -> bool:
        """Whether every property is selected and no stream map alters a record."""
        return all(self.mask.values()) and [type(stream_map) for stream_map in self.stream_maps] == [
            SameRecordTransform
        ]

    # The bookmark is the stream's own (`LogState`): the SDK's moves with each record, and not only forward.

    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        """Leave the bookmark alone."""

    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the state alone."""

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """No signpost is kept in the state."""

    def get_batch_config(self, config: Mapping[str, Any]) -> None:
        """No BATCH messages: a STATE could come before the file that holds its records."""


def to_microseconds(span: timedelta) -> int:
    """Length of a time span in microseconds."""
    return span // timedelta(microseconds=1)


def _read_answer(read: Reader, log_id: str, body: bytes | bytearray) -> Record:
    record = read(body)
    if record is None or str(record.get("id")).lower() != log_id.lower():
        message = "the body is not the log that was asked for"
        raise NoAnswerError(message)
    return record


def _merged(waiting: deque[tuple[int, str]], found: Found) -> Iterator[Log]:
    """Logs of a window together with those waiting from before its end, by created_at and ID, each once."""
    for created, log_id, listed in found.entries.drain():
        while waiting and waiting[0] < (created, log_id):
            yield _waiting_log(*waiting.popleft())
        if waiting and waiting[0] == (created, log_id):
            waiting.popleft()
        yield Log(log_id, created, listed)
    while waiting and waiting[0][0] < found.window.end:
        yield _waiting_log(*waiting.popleft())


def _waiting_log(created: int, log_id: str) -> Log:
    return Log(log_id, created)


def _is_not_the_line_on_unhandled_errors(line: logging.LogRecord) -> bool:
    return not line.msg.startswith("An unhandled error occurred while syncing")
