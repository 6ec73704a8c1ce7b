from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_signalwire_logs.instants import parse_instant, to_micros, to_text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        pytest.param("2026-01-31T08:00:00z", "2026-01-31T08:00:00Z", id="lower-case z"),
        pytest.param("2026-01-31t08:00:00z", "2026-01-31T08:00:00Z", id="lower-case t"),
        pytest.param("2026-01-31 08:00:00 UTC", "2026-01-31T08:00:00Z", id="UTC"),
        pytest.param("2026-01-31 08:00:00 gmt", "2026-01-31T08:00:00Z", id="GMT"),
        pytest.param("2026-01-31 08:00:00 +0200", "2026-01-31T06:00:00Z", id="as Ruby writes it"),
        pytest.param("2026-01-31 08:00:00 +0000 UTC", "2026-01-31T08:00:00Z", id="as Go writes it"),
        pytest.param("2026-01-31T08:00:00-02:30", "2026-01-31T10:30:00Z", id="offset with a colon"),
        pytest.param("2026-01-31T08:00:00+02", "2026-01-31T06:00:00Z", id="offset of hours"),
        pytest.param("2026-01-31T08:00:00", "2026-01-31T08:00:00Z", id="no zone"),
        pytest.param("2026-01-31 08:00", "2026-01-31T08:00:00Z", id="no seconds"),
        pytest.param("20260131T080000Z", "2026-01-31T08:00:00Z", id="basic form"),
        pytest.param("20260131T080000.5+0530", "2026-01-31T02:30:00.500000Z", id="basic form with all parts"),
        pytest.param("2026-01-31T08:00:00,25Z", "2026-01-31T08:00:00.250000Z", id="comma"),
        pytest.param("2026-01-31T08:00:00.1Z", "2026-01-31T08:00:00.100000Z", id="one digit"),
        pytest.param("2026-01-31T08:00:00.1234567899Z", "2026-01-31T08:00:00.123456Z", id="ten digits"),
        pytest.param("2026-01-31", "2026-01-31T00:00:00Z", id="date"),
        pytest.param("2026-031", "2026-01-31T00:00:00Z", id="day of the year"),
        pytest.param("2026-W05-6T08:00:00Z", "2026-01-31T08:00:00Z", id="week"),
        pytest.param("2026-01-31T24:00:00Z", "2026-02-01T00:00:00Z", id="end of a day"),
        pytest.param("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", id="leap second"),
        pytest.param(" 2026-01-31T08:00:00Z\n", "2026-01-31T08:00:00Z", id="space around"),
        pytest.param("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z", id="before 1970"),
        pytest.param("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", id="first year"),
        pytest.param("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", id="last year"),
    ],
)
def test_an_instant_is_read_in_any_plain_form(text: str, same: str) -> None:
    assert to_text(parse_instant(text)) == same


@pytest.mark.parametrize(
    "value",
    [
        *(None, 0, 1_769_846_400, 1.5, True, b"2026-01-31", [], {}),
        *("", " ", "n/a", "now", "null", "2026", "2026-01", "1769846400", "08:00:00", "T08:00:00Z", "080000"),
        *("0000-00-00", "0000-00-00T00:00:00Z", "0000-01-01", "2026-13-01", "2026-02-30T08:00:00Z", "2026-00-10"),
        *("2026-01-31T25:00:00Z", "2026-01-31T08:60:00Z", "2026-01-31T08:00:61Z", "2026-01-31T24:00:01Z"),
        *("2026-01-31T08:00:00+25:00", "2026-01-31T08:00:00ZZ", "2026-01-31T08:00:00 PST", "2026-W99-1", "2026-999"),
        *("0001-01-01T00:00:00+02:00", "9999-12-31T23:00:00-02:00", "9999-12-31T24:00:00Z", "\u0662026-01-31"),
    ],
    ids=repr,
)
def test_what_is_no_instant_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_instant(value)


@given(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001 - the zone is drawn apart
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["T", "t", " "]),
    st.booleans(),
)
def test_whatever_the_date_and_offset_the_instant_is_the_same(
    local: datetime, minutes: int, separator: str, colon: bool
) -> None:
    instant = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    hours, rest = divmod(abs(minutes), 60)
    offset = f"{'-' if minutes < 0 else '+'}{hours:02d}{':' if colon else ''}{rest:02d}"
    text = f"{local.isoformat().replace('T', separator)}{offset}"
    assert parse_instant(text) == to_micros(instant)
    assert parse_instant(to_text(to_micros(instant))) == to_micros(instant)
