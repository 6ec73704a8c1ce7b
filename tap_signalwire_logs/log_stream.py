"""A family of logs as a stream: `LogStream.extract` is the whole sync, read from top to bottom."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from singer_sdk import SchemaDirectory, StreamSchema
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_signalwire_logs import schemas
from tap_signalwire_logs.digests import Digests, Rewritten
from tap_signalwire_logs.digests import fingerprint as log_fingerprint
from tap_signalwire_logs.entries import EntryReader, RecordEntryReader
from tap_signalwire_logs.errors import Cancelled, HistoryLimitError, IncompleteError, MissingLogsError, NotFoundError
from tap_signalwire_logs.extraction import Extraction, Job, Sweep
from tap_signalwire_logs.instants import EARLIEST, in_micros, parse_instant, to_micros, to_text
from tap_signalwire_logs.logs import BucketSwept, DoneLogs, Outcome, RangeRetried, RangeUnread, WindowClosed, count
from tap_signalwire_logs.progress import Progress
from tap_signalwire_logs.records import RecordDecoder
from tap_signalwire_logs.singer import SingerStream
from tap_signalwire_logs.source import LogSource, SubresourceSource
from tap_signalwire_logs.state import LogState, fingerprint

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from tap_signalwire_logs.client import Client
    from tap_signalwire_logs.discovery import Discovery
    from tap_signalwire_logs.errors import RequestError
    from tap_signalwire_logs.finality import Finality
    from tap_signalwire_logs.logs import Item, Log, SweptUntil
    from tap_signalwire_logs.settings import ConfiguredIds
    from tap_signalwire_logs.tap import TapSignalWireLogs

STATE_SHARE = 0.01
RECORD_BYTES = 500
MIN_STATE_BYTES = 2_000
STATE_EVERY_SECONDS = 30.0
SHARE_BETWEEN_STATES, ENOUGH_BETWEEN_STATES = 0.1, 4_096
"""Records that lie between two STATE messages at least: that share of all so far; so many are always enough."""
STATE_EVERY_ITEMS = 256
"""Where a STATE message may come: after the same records, however they came in batches."""

MAX_NAMED = 10


class LogStream(SingerStream):
    """One family of logs: a list endpoint, mostly a get endpoint, and records that change until they are final.

    A subclass has the facts of its row in `families`.
    """

    path: ClassVar[str]
    scope: ClassVar[str]
    ids_setting: ClassVar[str | None]
    has_get: ClassVar[bool]
    subresource: ClassVar[str | None]
    finality: ClassVar[Finality]

    schema: ClassVar[StreamSchema] = StreamSchema(SchemaDirectory(schemas))

    _tap: TapSignalWireLogs

    def extract(self) -> Iterator[list[bytes]]:
        """Every record of the run, in order: configured logs, or the pending and the discovered ones.

        Source: `GET {path}/{id}` for each log, or the entry of `GET {path}` with `record_source: list`.

        Raises:
            FatalError: The stream can't go on.
            IncompleteError: Not everything came that was asked for; all that did is out.
            MissingLogsError: All came but some that do not exist, and `on_missing` is `fail`.
        """
        state, client = self._new_state(), self._new_client()
        progress = Progress(self.name, client.counts, self.logger)
        report = _Report(self.name, self.logger)
        written_before, outcome = self.written, "failed"
        self._last_state = time.monotonic()
        self._records_since_state = self._state_size = self._items = 0
        self._swept: list[Rewritten] = []
        self._finished: list[Rewritten] = []
        self._newest_before = EARLIEST
        self._sweep_width = in_micros(self._tap.settings.sweep)
        try:
            with self._new_extraction(client, state) as extraction:
                for batch in extraction.batches(self._tap.stop, self.flush):
                    self._set_clock(extraction, state)
                    for items in self._parts(batch.items):
                        yield self._decide_all(items, state)
                        # They have been written.
                        for item in items:
                            self._note(item, state, report)
                        progress.records = self.written - written_before
                        progress.refreshed = min(report.refreshed, progress.records)
                        progress.missing = len(report.missing)
                        progress.at(batch.share)
                        self._write_state_if_due(state, sum(map(count, items)))
                    if any(isinstance(item, WindowClosed) for item in batch.items):
                        progress.closed()
                report.flaws = extraction.flaws
            state.first_run_done()
            report.raise_for_what_did_not_come(fail_on_missing=self._tap.settings.fail_on_missing)
            outcome = "done"
        except GeneratorExit:
            outcome = "stopped" if self._tap.stop.is_set() else "done"  # a connection test asks for one record
            raise
        except Cancelled:
            outcome = "stopped"
        finally:
            self.flush()
            if self._keeps_state:
                state.save()
            if self._ids is None:
                progress.waiting = len(state.pending)
                progress.oldest_waiting = min((log.created for log in state.pending.values()), default=None)
            progress.records = self.written - written_before
            progress.incomplete = report.not_read
            report.tell_sweep(self._tap.settings.sweep.days)
            progress.finish(outcome)

    def _parts(self, items: list[Item]) -> Iterator[list[Item]]:
        """Parts of a batch, cut where a STATE message may come."""
        part: list[Item] = []
        for item in self._cut(items):
            part.append(item)
            self._items += count(item)
            if self._items % STATE_EVERY_ITEMS == 0:
                yield part
                part = []
        if part:
            yield part

    def _cut(self, items: list[Item]) -> Iterator[Item]:
        """Items, with rows of logs cut where a STATE message may come."""
        for item in items:
            if not isinstance(item, DoneLogs):
                yield item
                continue
            first = 0
            while first < count(item):
                end = first + STATE_EVERY_ITEMS - self._items % STATE_EVERY_ITEMS
                yield item.part(first, end)
                first = end

    def _decide_all(self, items: list[Item], state: LogState) -> list[bytes]:
        """Decide of each log whether it is final, and whether its records are written; gives those to write."""
        outcomes = [item for item in items if isinstance(item, Outcome) and item.fields is not None]
        finals = self.finality.of([outcome.fields for outcome in outcomes], state.now)
        for outcome, is_final in zip(outcomes, finals, strict=True):
            self._decide(outcome, state, is_final=is_final)
        records: list[bytes] = []
        for item in items:
            if isinstance(item, DoneLogs) or (isinstance(item, Outcome) and item.is_written):
                records += item.records
        return records

    def _decide(self, outcome: Outcome, state: LogState, *, is_final: bool) -> None:
        outcome.is_final = is_final
        if outcome.log.log_id not in state.pending:
            outcome.is_written = True
            return
        outcome.digest = fingerprint(outcome.records)
        outcome.is_written = not state.is_unchanged(outcome.log.log_id, outcome.digest)
        outcome.is_refreshed = True

    def _note(self, item: Item, state: LogState, report: _Report) -> None:
        """Keep in the state what came of an item, and in the report what did not come."""
        if isinstance(item, DoneLogs):
            self._note_done(item, state)
        elif isinstance(item, Outcome):
            self._note_outcome(item, state, report)
        elif isinstance(item, RangeUnread):
            report.range_unread(item, is_kept=state.range_unread(item.start, item.end))
        elif isinstance(item, RangeRetried):
            state.range_retried(item.start, item.end)
        elif isinstance(item, WindowClosed):
            state.advance(item.newest)
        else:
            self._note_sweep(item, state, report)

    def _note_done(self, logs: DoneLogs, state: LogState) -> None:
        state.advance(logs.created[-1])
        state.all_done_with(logs.ids, logs.created)
        if state.digests is None:
            return
        swept = bisect_left(logs.created, state.now - self._sweep_width)
        created, written = logs.created[swept:], list(map(log_fingerprint, logs.records[swept:]))
        state.digests.add_in_order(created, written)
        finished = bisect_right(created, self._newest_before)
        self._finished += map(Rewritten, created[:finished], written, written)

    def _note_outcome(self, outcome: Outcome, state: LogState, report: _Report) -> None:
        log = outcome.log
        if log.is_discovered:
            state.advance(log.created)
        if outcome.error is not None:
            self._note_failure(outcome, outcome.error, state, report)
        elif outcome.is_final and not outcome.is_refreshed:
            state.done_with(log.log_id, log.created)
        else:
            self._note_success(outcome, state)
        if outcome.is_refreshed and outcome.is_written:
            report.refreshed += len(outcome.records)
        if outcome.fields is not None and log.log_id not in state.pending:
            self._digest(outcome, state)
        if log.is_swept:
            report.swept_records += len(outcome.records)

    def _note_success(self, outcome: Outcome, state: LogState) -> None:
        log_id, is_final = outcome.log.log_id, outcome.is_final
        is_rare = not is_final and self.finality.is_rare(outcome.fields)
        if outcome.is_written:
            created, digest = _created(outcome), outcome.digest
            if not (digest or is_final or state.is_past_refresh(created)):
                digest = fingerprint(outcome.records)
            state.emitted(log_id, created, digest, is_final=is_final, is_rare=is_rare)
        else:
            state.checked(log_id, is_final=is_final, is_rare=is_rare)

    def _note_failure(self, item: Outcome, error: RequestError, state: LogState, report: _Report) -> None:
        """Keep a log whose get had no answer for later runs, unless it is gone or its time is over."""
        log = item.log
        is_not_found = isinstance(error, NotFoundError | HistoryLimitError)
        has_entry = item.fields is not None
        if self._ids is not None:
            (report.log_missing if is_not_found else report.log_not_read)(log, error)
            return
        if has_entry and item.fields.discarded_at:
            state.emitted(log.log_id, _created(item), item.digest, is_final=True)
            return
        was_emitted = bool(has_entry or (log.log_id in state.pending and state.pending[log.log_id].fingerprint))
        digest = item.digest or fingerprint(item.records) if has_entry else None
        is_kept = state.failed(log.log_id, _created(item), digest, is_not_found=is_not_found and not has_entry)
        if has_entry:
            report.entry_stands_in(error, is_kept=is_kept)
        elif is_not_found and not is_kept:
            report.log_missing(log, error)
        elif is_not_found and was_emitted:
            report.perhaps_missing(error)
        else:
            report.log_not_read(log, error, is_kept=is_kept)

    def _digest(self, outcome: Outcome, state: LogState) -> None:
        """Note what the target holds of a log that is done with, for the next sweep."""
        log = outcome.log
        if state.digests is None or log.created is None or log.created < state.now - self._sweep_width:
            return
        listed = None if log.entry is None else log_fingerprint(log.entry)
        if self.subresource or not outcome.records:
            emitted = listed or 0
        elif listed is not None and outcome.records[0] == log.entry:
            emitted = listed
        else:
            emitted = log_fingerprint(outcome.records[0])
        written = Rewritten(log.created, emitted, emitted if listed is None else listed)
        if log.is_swept:
            self._swept.append(written)
            return
        if log.created <= self._newest_before:
            self._finished.append(written)
        state.digests.add(written.created, emitted, written.listed)

    def _note_sweep(self, item: BucketSwept | SweptUntil, state: LogState, report: _Report) -> None:
        """Keep in the digests what a sweep has compared and written again."""
        digests = state.digests
        assert digests is not None  # noqa: S101 - without them there is no sweep
        if isinstance(item, BucketSwept):
            end = digests.bucket_at(item.start).until if item.end is None else item.end
            digests.rewrite(item.start, end, self._swept)
            self._swept = []
            for written in self._finished:
                if item.start <= written.created and (end is None or written.created < end):
                    digests.add(written.created, written.emitted or 0, written.listed)
            digests.cursor = end
            report.buckets += 1
            report.fewer += item.fewer
        elif item.instant is not None:
            digests.cursor = item.instant
        else:
            digests.cursor = None
            state.swept()
            digests.prune(state.now - in_micros(self._tap.settings.sweep + timedelta(days=1)))
            report.is_swept = True

    def _set_clock(self, extraction: Extraction, state: LogState) -> None:
        """Use the service's time, once an answer told it: items come only then."""
        is_told = state.now != extraction.now
        state.set_now(extraction.now)
        if not is_told:
            return
        ahead = extraction.clock_ahead or 0.0
        self.logger.warning(
            "This machine's clock is %.0f s %s SignalWire's; using SignalWire's time",
            abs(ahead),
            "ahead of" if ahead > 0 else "behind",
        )

    def _write_state_if_due(self, state: LogState, records: int) -> None:
        """Write the state, unless STATE messages would be more than a hundredth of the output, or come too often.

        A run that is killed leaves the last one: what it wrote since then, the next run writes again.
        """
        self._records_since_state += records
        since = time.monotonic() - self._last_state
        most_bytes = self._records_since_state * RECORD_BYTES * STATE_SHARE
        is_worth_it = (
            self._items % STATE_EVERY_ITEMS == 0
            and most_bytes >= max(self._state_size, MIN_STATE_BYTES)
            and self._records_since_state >= min(self._items * SHARE_BETWEEN_STATES, ENOUGH_BETWEEN_STATES)
        )
        if not self._keeps_state or not (is_worth_it or since >= STATE_EVERY_SECONDS):
            return
        state.save()
        self._state_size = len(msgspec.json.encode(self._tap.state))
        self._records_since_state = 0
        self._last_state = time.monotonic()
        self.write_state()

    def _new_state(self) -> LogState:
        settings = self._tap.settings
        return LogState(
            self.stream_state if self._keeps_state else {},
            replication_key=self.replication_key or "created_at",
            now=to_micros(self._tap.began),
            lookback=in_micros(settings.lookback),
            refresh=in_micros(settings.refresh),
            lists_pending=not self.has_get,
            shared_by=self._streams_in_state,
            sweeps=self._keeps_state and bool(settings.sweep),
        )

    def _new_client(self) -> Client:
        from tap_signalwire_logs.client import Client  # noqa: PLC0415 - not needed to say what the tap can do

        settings = self._tap.settings
        return Client(
            settings.origin,
            settings.project_id,
            settings.api_token,
            scope=self.scope,
            concurrency=settings.concurrency,
            timeout=settings.request_timeout,
            max_tries=settings.backoff_max_tries,
            user_agent=settings.user_agent,
        )

    def _new_extraction(self, client: Client, state: LogState) -> Extraction:
        settings = self._tap.settings
        start, unread = state.ranges_to_read()
        lookback = None if start is None else in_micros(settings.lookback)
        if settings.start_date and to_micros(settings.start_date) > (start or 0):
            start, lookback = to_micros(settings.start_date), None
            if start > state.now:
                self.logger.warning("`start_date` is in the future: no logs to read")
        job = Job(
            path=self.path,
            has_get=self.has_get,
            takes_entries=self.subresource is None and (not self.has_get or settings.record_source == "list"),
            ids=self._ids,
            start=start,
            end=to_micros(settings.end_date) if settings.end_date else None,
            lookback=lookback,
            page_size=settings.page_size,
            include_deleted=settings.include_deleted,
            refresh=in_micros(settings.refresh),
            pending=dict(state.pending),
            emitted=state.emitted_before,
            unread=unread,
            sweep=self._sweep_if_due(state),
        )

        decoder = RecordDecoder(self.schema, self.name)

        def new_source(discovery: Discovery) -> LogSource:
            if self.subresource:
                logs = RecordDecoder(self._tap.streams[self.name_of_logs].schema, self.name_of_logs)
                return SubresourceSource(client, self.path, self.subresource, decoder, logs, find=discovery.find)
            return LogSource(
                client,
                self.path,
                decoder,
                takes_entries=job.takes_entries,
                has_get=self.has_get,
                find=discovery.find,
            )

        return Extraction(
            job,
            client=client,
            reader=RecordEntryReader(decoder, self.finality) if job.takes_entries else EntryReader(),
            source=new_source,
            began=to_micros(self._tap.began),
            name=self.name,
        )

    def _sweep_if_due(self, state: LogState) -> Sweep | None:
        settings, digests = self._tap.settings, state.digests
        if digests is None:
            return None
        is_due = digests.swept is None or state.now - digests.swept >= in_micros(settings.sweep_every)
        if digests.cursor is None and not is_due:
            return None
        start = to_micros(settings.start_date) if settings.start_date else None
        sweep = Sweep(Digests.load(digests.dump()), in_micros(settings.sweep), start)
        digests.seal()
        self._newest_before = digests.newest
        return sweep

    @property
    def name_of_logs(self) -> str:
        """Name of the stream whose records are the logs themselves."""
        return next(
            name
            for name, stream in self._tap.streams.items()
            if isinstance(stream, LogStream) and stream.path == self.path and stream.subresource is None
        )

    @cached_property
    def _ids(self) -> ConfiguredIds | None:
        return self._tap.settings.ids.get(self.ids_setting) if self.ids_setting else None

    @cached_property
    def _keeps_state(self) -> bool:
        return self.replication_method != REPLICATION_FULL_TABLE and self._ids is None

    @property
    def _streams_in_state(self) -> int:
        """Streams of which a STATE of this run tells."""
        selected = {name for name, stream in self._tap.streams.items() if stream.selected}
        return len(selected | self._tap.state.get("bookmarks", {}).keys() | {self.name})


class _Report:
    """What did not come in a run: said as it happens, and once more at the end."""

    def __init__(self, stream: str, logger: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        self.refreshed = 0
        self.buckets = 0
        self.fewer = 0
        self.swept_records = 0
        self.is_swept = False
        self.missing: list[str] = []
        self.flaws: list[str] = []
        self._stream = stream
        self._logger = logger
        self._logs_not_read: list[str] = []
        self._ranges_not_read: list[tuple[int, int]] = []
        self._cause = ""
        self._said: dict[str, int] = {}

    @property
    def not_read(self) -> int:
        """Logs and ranges that were asked for and did not come."""
        return len(self._logs_not_read) + len(self._ranges_not_read)

    def log_missing(self, log: Log, error: Exception) -> None:
        """A log does not exist, or is no longer kept."""
        self.missing.append(log.log_id)
        self._warn("missing", "%s: log not found", error)

    def perhaps_missing(self, error: Exception) -> None:
        """A log was not found for the first time."""
        self._warn("perhaps", "%s: log not found; checked once more by the next run", error)

    def log_not_read(self, log: Log, error: Exception, *, is_kept: bool = True) -> None:
        """A log could not be had."""
        self._logs_not_read.append(log.log_id)
        self._cause = self._cause or str(error)
        self._warn("log", "%s%s", error, "" if is_kept else f"; {log.log_id} is given up after `refresh_hours`")

    def entry_stands_in(self, error: Exception, *, is_kept: bool) -> None:
        """A log's list entry is its record, for its get had no answer."""
        rest = "the get is tried again by later runs" if is_kept else "the get is not tried again after `refresh_hours`"
        self._warn("entry", "%s; the list entry is the record for now, and %s", error, rest)

    def range_unread(self, item: RangeUnread, *, is_kept: bool) -> None:
        """A range could not be read."""
        start, end = item.start, item.end
        if self._ranges_not_read and self._ranges_not_read[-1][1] == start:
            start = self._ranges_not_read.pop()[0]
        self._ranges_not_read.append((start, end))
        name = f"{to_text(item.start)} to {to_text(item.end)}"
        self._cause = self._cause or str(item.error)
        rest = "later runs ask for it again" if is_kept else "it is given up after `refresh_hours`"
        self._warn("range", "%s; logs created from %s not read, %s", item.error, name, rest)

    def tell_sweep(self, days: int) -> None:
        """Say what a sweep found, where there was one."""
        if not self.is_swept and not self.buckets:
            return
        fewer = f", {self.fewer} logs no longer listed" if self.fewer else ""
        self._logger.info(
            "%s: swept %d days: %d buckets differed, %d records again%s",
            self._stream,
            days,
            self.buckets,
            self.swept_records,
            fewer,
        )

    def raise_for_what_did_not_come(self, *, fail_on_missing: bool) -> None:
        """End the run with one line that names it.

        Raises:
            IncompleteError: Logs or ranges could not be read.
            MissingLogsError: Logs do not exist, and that is to fail the run.
        """
        parts = []
        if self._logs_not_read:
            parts.append(f"{len(self._logs_not_read):,} logs not read: {_named(self._logs_not_read)}")
        if self._ranges_not_read:
            ranges = [f"{to_text(start)} to {to_text(end)}" for start, end in self._ranges_not_read]
            parts.append(f"{len(ranges)} ranges of created_at not read: {_named(ranges)}")
        if parts:
            message = (
                f"{self._stream}: {'; '.join(parts)}; all other records were written; later runs ask for them again "
                f"({self._cause})"
            )
            raise IncompleteError(message)
        if self.flaws:
            message = f"{self._stream}: {self.flaws[0]}; it was read again, and all records were written; check `space`"
            raise IncompleteError(message)
        if self.missing and fail_on_missing:
            message = (
                f"{self._stream}: {len(self.missing):,} logs not found: {_named(self.missing)}; all other records were "
                "written. Remove their IDs, or set `on_missing` to `warn`"
            )
            raise MissingLogsError(message)

    def _warn(self, kind: str, message: str, *values: object) -> None:
        number = self._said[kind] = self._said.get(kind, 0) + 1
        if number < MAX_NAMED:
            self._logger.warning(message, *values)
        elif number == MAX_NAMED:
            self._logger.warning(f"{message}; more like this are only counted", *values)  # noqa: G004 - a constant


def _named(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (" and more" if len(names) > MAX_NAMED else "")


def _created(item: Outcome) -> int:
    """created_at of a log as its record has it, or else as the list had it."""
    with suppress(ValueError):
        return parse_instant(getattr(item.fields, "created_at", None))
    return item.log.created or 0
