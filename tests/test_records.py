from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tap_signalwire_logs.exact_json import encode_json
from tap_signalwire_logs.records import Reader

SCHEMA: dict[str, Any] = {
    "properties": {
        "id": {"type": ["string"]},
        "text": {"type": ["string", "null"]},
        "count": {"type": ["integer", "null"]},
        "charge": {"type": ["number", "null"]},
        "details": {
            "type": ["array", "null"],
            "items": {"type": ["object"], "properties": {"charge": {"type": ["number", "null"]}}},
        },
    }
}


@pytest.mark.parametrize(
    ("sent", "comes_out"),
    [
        pytest.param({"charge": Decimal("0.004150")}, {"charge": Decimal("0.004150")}, id="digits are kept"),
        pytest.param({"charge": "0.00415"}, {"charge": Decimal("0.00415")}, id="a charge as text becomes a number"),
        pytest.param({"charge": " 1e-3 "}, {"charge": Decimal("0.001")}, id="in any notation"),
        pytest.param({"charge": "free"}, {"charge": None}, id="text that is no number becomes null"),
        pytest.param({"charge": 0}, {"charge": 0}, id="a whole number is a number"),
        pytest.param({"charge": True}, {"charge": None}, id="true is no number"),
        pytest.param({"count": "2"}, {"count": 2}, id="a count as text"),
        pytest.param({"count": Decimal("2.0")}, {"count": 2}, id="a count with a point"),
        pytest.param({"count": Decimal("2.5")}, {"count": None}, id="a count that is none"),
        pytest.param({"text": "a\0b"}, {"text": "ab"}, id="NUL is taken out"),
        pytest.param({"text": "grüße \U0001f600"}, {"text": "grüße \U0001f600"}, id="unicode stays"),
        pytest.param({"text": 30007}, {"text": "30007"}, id="a number where text is expected"),
        pytest.param({"text": {"a": 1}}, {"text": '{"a":1}'}, id="an object where text is expected"),
        pytest.param({"text": None, "count": None}, {"text": None, "count": None}, id="null stays null"),
        pytest.param({"details": [{"charge": "0.5"}]}, {"details": [{"charge": Decimal("0.5")}]}, id="inside lists"),
        pytest.param({"details": [None, {"charge": 1, "new": 2}]}, {"details": [{"charge": 1}]}, id="new inside lists"),
        pytest.param({"details": [5, {"charge": 1}]}, {"details": [{"charge": 1}]}, id="a number where an object is"),
        pytest.param({"details": "none"}, {"details": None}, id="text where a list is expected"),
        pytest.param({"id": "a"}, {"id": "a"}, id="missing fields stay missing"),
    ],
)
def test_a_record_fits_its_schema(sent: dict[str, Any], comes_out: dict[str, Any]) -> None:
    assert Reader(SCHEMA, "logs")(encode_json(sent)) == comes_out


@pytest.mark.parametrize("text", ["NaN", "nan", "-Infinity", "inf", "sNaN"])
def test_what_is_no_finite_number_becomes_null_wherever_it_is(text: str) -> None:
    record = {"id": "a", "charge": text, "details": [{"charge": text}]}
    assert Reader(SCHEMA, "logs")(encode_json(record)) == {"id": "a", "charge": None, "details": [{"charge": None}]}


def test_a_record_is_the_same_whether_it_drifted_or_not() -> None:
    record = {
        "id": "a",
        "text": "b",
        "count": 3,
        "charge": Decimal("0.00830"),
        "details": [{"charge": Decimal("1E-7")}],
    }
    read = Reader(SCHEMA, "logs")
    assert repr(read(encode_json(record))) == repr(read(encode_json({**record, "new": 1}))) == repr(record)


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"'])
def test_json_of_another_kind_is_no_record(body: bytes) -> None:
    assert Reader(SCHEMA, "logs")(body) is None


@pytest.mark.parametrize("body", [b"", b'{"id":', b"<html>", b'{"id":"\xff"}', b'{"text":"\\u0000'])
def test_what_is_no_json_raises(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        Reader(SCHEMA, "logs")(body)


def test_a_new_field_is_named_once_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    read = Reader(SCHEMA, "logs")
    with caplog.at_level(logging.WARNING):
        assert read(b'{"id": "a", "carrier": "+15550100"}') == {"id": "a"}
        read(b'{"id": "b", "carrier": "+15550100"}')
    assert [record.getMessage() for record in caplog.records] == [
        "logs: field 'carrier': unknown field, dropped; update the tap"
    ]
