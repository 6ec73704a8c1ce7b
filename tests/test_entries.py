from __future__ import annotations

import json
from typing import Any

import pytest

from tap_signalwire_logs.entries import EntryReader, RecordEntryReader
from tap_signalwire_logs.families import MESSAGE_LOGS
from tap_signalwire_logs.finality import Finality
from tap_signalwire_logs.instants import parse_instant
from tap_signalwire_logs.records import RecordDecoder
from tests.test_records import SCHEMAS

LOG = {
    "id": "c38dacad-2f6c-4711-9003-000732000705",
    "status": "delivered",
    "direction": "outbound-api",
    "kind": "sms",
    "charge": 0.004,
    "created_at": "2026-01-31T08:00:00Z",
}


def reader() -> RecordEntryReader:
    return RecordEntryReader(RecordDecoder(SCHEMAS["message_logs"], "message_logs"), Finality(MESSAGE_LOGS))


def page_of(*logs: dict[str, Any]) -> list[bytes]:
    return [json.dumps(log).encode() for log in logs]


def test_a_page_tells_when_each_log_was_created_and_whether_it_is_final() -> None:
    sent = {**LOG, "id": "d38dacad-2f6c-4711-9003-000732000705", "status": "sent"}
    page = page_of(LOG, sent)
    created = parse_instant(LOG["created_at"])
    assert reader().read(page) == [(created, LOG["id"], page[0], True), (created, sent["id"], page[1], False)]
    assert EntryReader().read(page) == [(created, LOG["id"], page[0], None), (created, sent["id"], page[1], None)]
    assert reader().read([]) == EntryReader().read([]) == []


@pytest.mark.parametrize(
    ("log", "entry"),
    [
        pytest.param({**LOG, "news": 1}, {}, id="a field that the schema lacks"),
        pytest.param({**LOG, "charge": "0.004"}, {}, id="a charge as text"),
        pytest.param({**LOG, "from": "a\0b"}, {}, id="a NUL character"),
        pytest.param({**LOG, "id": "7"}, {"log_id": "7"}, id="an ID that is no UUID"),
        pytest.param({**LOG, "url": "no URI at all"}, {}, id="a text that breaks its promise"),
        pytest.param({**LOG, "created_at": "2026-01-31T09:00:00+01:00"}, None, id="a date in another zone"),
        pytest.param({**LOG, "created_at": None}, None, id="no date"),
        pytest.param({**LOG, "created_at": ""}, None, id="an empty date"),
        pytest.param({**LOG, "id": "../../secrets"}, None, id="an ID that names another path"),
        pytest.param({**LOG, "id": None}, None, id="no ID"),
        pytest.param({"created_at": LOG["created_at"]}, None, id="not even null for an ID"),
    ],
)
def test_of_a_page_with_an_entry_that_needs_a_look_nothing_is_said(
    log: dict[str, Any], entry: dict[str, Any] | None
) -> None:
    page = page_of(LOG, log)
    read = reader().read(page)
    if entry is None:
        assert read is None
        return
    created = parse_instant(LOG["created_at"])
    assert read == [(created, LOG["id"], page[0], None), (created, entry.get("log_id", log["id"]), page[1], None)]


def test_fractions_of_seconds_are_read_to_the_microsecond() -> None:
    page = page_of(LOG, {**LOG, "created_at": "2026-01-31T08:00:00.123457Z"})
    entries = reader().read(page)
    assert entries
    assert [created for created, *_ in entries] == [
        parse_instant("2026-01-31T08:00:00Z"),
        parse_instant("2026-01-31T08:00:00.123457Z"),
    ]
    assert all(is_final for *_, is_final in entries)
    assert EntryReader().read(page) is None, "its decoder would round longer fractions"


def test_what_is_no_json_is_none() -> None:
    assert reader().read([b"{"]) is None
    assert reader().read([b"\xff"]) is None
