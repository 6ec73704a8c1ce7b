"""Where the records of a log come from: its list entry, its get endpoint, or a subresource of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from tap_signalwire_logs.errors import InvalidResponseError, NotFoundError, PaginationError, RequestError
from tap_signalwire_logs.exact_json import decode_json, encode_json
from tap_signalwire_logs.logs import Outcome
from tap_signalwire_logs.pagination import iter_pages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import msgspec

    from tap_signalwire_logs.client import Client
    from tap_signalwire_logs.logs import Log
    from tap_signalwire_logs.records import DecodedRecord, RecordDecoder

    Find = Callable[[str, int], Awaitable[bytes | None]]


class LogSource:
    """Records that are the logs themselves.

    Args:
        client: The Space.
        path: The list endpoint; a log's get endpoint is this and its ID.
        decoder: Makes a record of JSON.
        takes_entries: Whether the list entry is the record where there is one.
        has_get: Whether there is a get endpoint.
        find: Looks for a log's list entry by ID and created_at.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        decoder: RecordDecoder,
        *,
        takes_entries: bool,
        has_get: bool,
        find: Find,
    ) -> None:
        self._client = client
        self._path = path
        self._decoder = decoder
        self._takes_entries = takes_entries or not has_get
        self._has_get = has_get
        self._find = find

    def at_once(self, logs: Sequence[Log]) -> list[Outcome | None]:
        """What comes of each log without a request; None where it takes one."""
        if not self._takes_entries:
            return [None] * len(logs)
        jsons, values = self._decoder.many([log.entry for log in logs if log.entry is not None])
        of_entries = zip(zip(jsons), values, strict=True)
        return [Outcome(log, *next(of_entries)) if log.entry else self._not_listed(log) for log in logs]

    def _not_listed(self, log: Log) -> Outcome | None:
        """What comes of a log that has no list entry."""
        if self._has_get:
            return None
        return Outcome(log, error=NotFoundError(f"GET {self._path}: {log.log_id} is no longer listed"))

    async def fetch(self, log: Log) -> Outcome:
        """The log as its get endpoint has it; where that has no answer, as the list has it.

        Source: `GET {path}/{id}`.

        Raises:
            FatalError: No other request would be answered either.
        """
        try:
            record = await self._get(log.log_id)
        except RequestError as error:
            return await self._stand_in(log, error)
        return Outcome(log, [record.json], record.fields)

    async def _get(self, log_id: str) -> DecodedRecord:
        return await self._client.get(f"{self._path}/{log_id}", decode=partial(self._decode, log_id))

    async def _stand_in(self, log: Log, error: RequestError) -> Outcome:
        record = await self._listed(log)
        if record is None:
            return Outcome(log, error=error)
        return Outcome(log, [record.json], record.fields, error)

    async def _listed(self, log: Log) -> DecodedRecord | None:
        """The log's list entry, looked for where it is not at hand; None where there is none to be had."""
        entry = log.entry
        if entry is None and log.created is not None:
            try:
                entry = await self._find(log.log_id, log.created)
            except (RequestError, PaginationError):
                return None
        return None if entry is None else self._of_entry(entry)

    def _decode(self, log_id: str, body: bytes | bytearray) -> DecodedRecord:
        record = self._decoder(body)
        if record is None or str(record.fields.id or "").lower() != log_id.lower():
            message = "the body is not the log that was asked for"
            raise InvalidResponseError(message)
        return record

    def _of_entry(self, entry: bytes) -> DecodedRecord:
        return _checked(self._decoder(entry))


class SubresourceSource(LogSource):
    """Records that are a subresource of each log: the `data` of `{path}/{id}/{subresource}`, keyed by position.

    Args:
        client: The Space.
        path: The list endpoint of the logs.
        subresource: The last segment.
        decoder: Makes a record of the JSON of one of them.
        log_decoder: Makes typed values of a log's JSON.
        find: Looks for a log's list entry by ID and created_at.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        subresource: str,
        decoder: RecordDecoder,
        log_decoder: RecordDecoder,
        *,
        find: Find,
    ) -> None:
        super().__init__(client, path, log_decoder, takes_entries=False, has_get=True, find=find)
        self._subresource = subresource
        self._record_decoder = decoder

    async def fetch(self, log: Log) -> Outcome:
        """The subresource, and beside it the log where no list entry tells how it stands; a deleted log has none.

        Source: `GET {path}/{id}/{subresource}`, all of its pages.
        """
        if log.entry is not None:
            of_log = Outcome(log, fields=self._of_entry(log.entry).fields)
            if of_log.fields.discarded_at:
                return of_log
            of_records = await self._records_or_error(log.log_id)
        else:
            of_log, of_records = await asyncio.gather(super().fetch(log), self._records_or_error(log.log_id))
        if of_log.fields is None:
            return Outcome(log, error=of_log.error)
        if of_log.fields.discarded_at:
            return Outcome(log, fields=of_log.fields)
        if isinstance(of_records, RequestError):
            return Outcome(log, error=of_records)
        return Outcome(log, of_records, of_log.fields)

    async def _records_or_error(self, log_id: str) -> list[bytes] | RequestError:
        try:
            return await self._records(log_id)
        except RequestError as error:
            return error
        except PaginationError as error:
            return RequestError(str(error))

    async def _records(self, log_id: str) -> list[bytes]:
        records: list[bytes] = []

        def take(raws: list[msgspec.Raw]) -> tuple[None, int]:
            page = [self._record(log_id, len(records) + place, bytes(raw)) for place, raw in enumerate(raws)]
            records.extend(page)
            return None, hash(tuple(map(bytes, raws))) if raws else 0

        path = f"{self._path}/{log_id}/{self._subresource}"
        async with aclosing(iter_pages(self._client, path, None, take, needs_links=False)) as pages:
            async for _ in pages:
                pass
        return records

    def _record(self, log_id: str, position: int, raw: bytes) -> bytes:
        fields: Any = decode_json(raw)
        if not isinstance(fields, dict):
            message = f"the body is not the {self._subresource} of a log"
            raise InvalidResponseError(message)
        key = {"log_id": log_id, "position": position}
        record = self._record_decoder(encode_json({**key, **fields, **key}))
        assert record is not None  # noqa: S101 - it is an object
        return record.json


def _checked(record: DecodedRecord | None) -> DecodedRecord:
    """Record of a list entry."""
    assert record is not None  # noqa: S101 - the list's reader took it for an object
    return record
