from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest

from tap_signalwire_logs.records import Shaper

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
        pytest.param({"details": "none"}, {"details": None}, id="text where a list is expected"),
        pytest.param({"id": "a"}, {"id": "a"}, id="missing fields stay missing"),
    ],
)
def test_a_record_fits_its_schema(sent: dict[str, Any], comes_out: dict[str, Any]) -> None:
    before = repr(sent)
    assert Shaper(SCHEMA, "logs")(sent) == comes_out
    assert repr(sent) == before


def test_a_new_field_is_named_once_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    shape = Shaper(SCHEMA, "logs")
    with caplog.at_level(logging.WARNING):
        assert shape({"id": "a", "carrier": "+15550100"}) == {"id": "a"}
        shape({"id": "b", "carrier": "+15550100"})
    assert [record.getMessage() for record in caplog.records] == [
        "logs: the field 'carrier' is new: it is left out until the stream's schema knows it"
    ]
