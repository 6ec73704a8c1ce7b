"""Where the records of a log come from: its list entry, the get endpoint, or what it has of its own behind that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tap_signalwire_logs.errors import FatalError, MissingError, NoAnswerError
from tap_signalwire_logs.exact_json import decode_json
from tap_signalwire_logs.fetch import together

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from tap_signalwire_logs.client import Channel
    from tap_signalwire_logs.log_stream import Log
    from tap_signalwire_logs.records import Reader

    Record = dict[str, Any]
    Read = Callable[[bytes | bytearray], Any]


class Fetched(NamedTuple):
    """A log, and the records that come of it."""

    log: Record
    records: list[Record]


class LogSource:
    """Records that are the logs themselves.

    Args:
        channel: The Space.
        path: The list endpoint; a log's get endpoint is this and its ID.
        read: Makes a record of JSON.
        takes_entries: Whether the list entry is the record where there is one.
        has_get: Whether there is a get endpoint.
    """

    def __init__(self, channel: Channel, path: str, read: Read, *, takes_entries: bool, has_get: bool) -> None:
        """Nothing is asked yet."""
        self._channel = channel
        self._path = path
        self._read = read
        self._takes_entries = takes_entries
        self._has_get = has_get

    def begin(self, log: Log) -> Future[Any] | None:
        """Ask for what there is to ask for; None where nothing is."""
        if (self._takes_entries and log.listed) or not self._has_get:
            return None
        return self._channel.submit(f"{self._path}/{log.log_id}", decode=partial(self._log, log.log_id))

    def answer(self, log: Log, future: Future[Any] | None) -> Fetched:
        """What came of it.

        Raises:
            MissingError: The log is not there.
            FatalError, UnauthorizedError, ExhaustedError: As `Channel.get`.
        """
        try:
            record = future.result() if future else self._entry(log)
        except MissingError:
            if not (future and log.listed):
                raise
            # A deleted log may have nothing but its entry in the list.
            record = self._entry(log)
        return Fetched(record, [record])

    def _log(self, log_id: str, body: bytes | bytearray) -> Record:
        record = self._read(body)
        if not isinstance(record, dict) or str(record.get("id")).lower() != log_id.lower():
            message = "the body is not the log that was asked for"
            raise NoAnswerError(message)
        return record

    def _entry(self, log: Log) -> Record:
        if log.listed is None:
            message = f"GET {self._path}: {log.log_id} is listed no more"
            raise MissingError(message)
        try:
            record = self._read(log.listed)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = None
        if not isinstance(record, dict):
            message = f"GET {self._path}: the entry of {log.log_id} can't be read; run again later, the state is true"
            raise FatalError(message)
        return record


class PartSource(LogSource):
    """Records that are what each log has of its own: the `data` of `{path}/{id}/{part}`, keyed by place.

    Args:
        channel: The Space.
        path: The list endpoint of the logs.
        part: The last segment.
        read: Makes a record of the JSON of one of them.
    """

    def __init__(self, channel: Channel, path: str, part: str, read: Reader) -> None:
        """Nothing is asked yet."""
        super().__init__(channel, path, decode_json, takes_entries=True, has_get=True)
        self._part = part
        self._read_one = read

    def begin(self, log: Log) -> Future[Any] | None:
        """Ask for the part, and beside it for the log where no list entry tells how it stands."""
        if log.listed and self._entry(log).get("discarded_at"):
            return None
        path = f"{self._path}/{log.log_id}/{self._part}"
        part = self._channel.submit(path, decode=partial(self._records, log.log_id))
        get = super().begin(log)
        return together(get, part) if get else part

    def answer(self, log: Log, future: Future[Any] | None) -> Fetched:
        """The log and its records; a deleted log has none."""
        if log.listed:
            return Fetched(self._entry(log), future.result() if future else [])
        assert future  # noqa: S101 - only a listed log can be known to be deleted
        return Fetched(*future.result())

    def _records(self, log_id: str, body: bytes | bytearray) -> list[Record]:
        try:
            records = [self._read_one(bytes(raw)) for raw in _decode_data(body).data]
        except msgspec.ValidationError:
            records = [None]
        kept = [
            {"log_id": log_id, "position": position, **_without_key(record)}
            for position, record in enumerate(records)
            if record is not None
        ]
        if len(kept) < len(records):
            message = f"the body is not the {self._part} of a log"
            raise NoAnswerError(message)
        return kept


class _Data(msgspec.Struct):
    data: list[msgspec.Raw]


_decode_data = msgspec.json.Decoder(_Data).decode


def _without_key(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in {"log_id", "position"}}
