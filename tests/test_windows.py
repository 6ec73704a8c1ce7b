from __future__ import annotations

import re

import pytest

from tap_signalwire_logs.instants import DAY, SECOND, parse_instant, to_text
from tap_signalwire_logs.windows import (
    MOST_LOGS,
    TARGET_LOGS,
    Below,
    Bounds,
    Window,
    narrower,
    probe_instant,
    width_after,
    window_from,
)


def at(text: str) -> int:
    return parse_instant(text)


@pytest.mark.parametrize(
    ("window", "bounds", "asked"),
    [
        pytest.param(
            Window(at("2026-01-31T08:00:00Z"), at("2026-01-31T09:00:00Z")),
            Bounds.TIMESTAMPS,
            {"created_after": "2026-01-31T07:59:59Z", "created_before": "2026-01-31T09:00:01Z"},
            id="a second to spare on either side",
        ),
        pytest.param(
            Window(at("2026-01-31T08:00:00.5Z"), at("2026-01-31T09:00:00.5Z")),
            Bounds.TIMESTAMPS,
            {"created_after": "2026-01-31T07:59:59Z", "created_before": "2026-01-31T09:00:02Z"},
            id="parts of a second are rounded outwards",
        ),
        pytest.param(
            Window(at("2026-01-31T08:00:00Z"), at("2026-01-31T09:00:00Z")),
            Bounds.DAYS,
            {"created_after": "2026-01-30", "created_before": "2026-02-01"},
            id="days: the day before, and the day after",
        ),
        pytest.param(
            Window(at("2026-01-31"), at("2026-02-01")),
            Bounds.DAYS,
            {"created_after": "2026-01-30", "created_before": "2026-02-01"},
            id="a whole day ends at its midnight",
        ),
        pytest.param(
            Window(0, at("2026-02-01"), Below.OPEN),
            Bounds.DAYS,
            {"created_before": "2026-02-01"},
            id="no lower bound where all the history is wanted",
        ),
        pytest.param(
            Window(at("2026-01-31"), at("2026-02-01"), Below.OPEN),
            Bounds.TIMESTAMPS,
            {"created_before": "2026-02-01T00:00:01Z"},
            id="no lower bound where it would lie before the kept history",
        ),
    ],
)
def test_a_window_is_asked_with_room_to_spare(window: Window, bounds: Bounds, asked: dict[str, str]) -> None:
    assert window.questions(bounds) == [asked]


@pytest.mark.parametrize("bounds", list(Bounds))
def test_the_day_of_an_exact_lower_bound_is_asked_for_beside_it(bounds: Bounds) -> None:
    window = Window(at("2026-01-31T08:00:00Z"), at("2026-02-01"), Below.EXACT)
    after, on = window.questions(bounds)
    assert (after["created_after"], on) == ("2026-01-31", {"created_on": "2026-01-31"})


def test_a_window_holds_its_start_and_not_its_end() -> None:
    window = Window(10, 20)
    assert [window.holds(instant) for instant in (9, 10, 19, 20)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("start", "end", "width", "bounds", "stop"),
    [
        pytest.param("2026-01-01", "2026-02-01", DAY, Bounds.TIMESTAMPS, "2026-01-02", id="as wide as asked"),
        pytest.param(
            "2026-01-01", "2026-01-01T08:00:00", DAY, Bounds.TIMESTAMPS, "2026-01-01T08:00:00", id="never past the end"
        ),
        pytest.param(
            "2026-01-01T08:00:00", "2026-02-01", 1, Bounds.TIMESTAMPS, "2026-01-01T08:00:01", id="never under a second"
        ),
        pytest.param(
            "2026-01-01T08:00:00", "2026-02-01", 1, Bounds.DAYS, "2026-01-02", id="days: to the next midnight"
        ),
        pytest.param("2026-01-01T08:00:00", "2026-02-01", 3 * DAY, Bounds.DAYS, "2026-01-04", id="days: whole ones"),
        pytest.param(
            "2026-01-01T08:00:00",
            "2026-01-03T09:00:00",
            9 * DAY,
            Bounds.DAYS,
            "2026-01-03T09:00:00",
            id="days: the end",
        ),
    ],
)
def test_windows_are_cut_at_what_the_service_can_tell_apart(
    start: str, end: str, width: int, bounds: Bounds, stop: str
) -> None:
    assert to_text(window_from(at(start), at(end), width, bounds).end) == to_text(at(stop))


def test_windows_widen_over_quiet_years_and_narrow_where_it_is_busy() -> None:
    assert width_after(DAY, 0) == 4 * DAY
    assert width_after(DAY, TARGET_LOGS) == DAY
    assert width_after(DAY, 2 * TARGET_LOGS) == DAY // 2


@pytest.mark.parametrize("bounds", Bounds)
@pytest.mark.parametrize("logs", [0, MOST_LOGS])
@pytest.mark.parametrize("width", [DAY + 1, 2 * DAY, 4000 * DAY])
def test_a_window_that_is_too_full_always_gets_narrower(bounds: Bounds, logs: int, width: int) -> None:
    window = Window(at("2026-01-01"), at("2026-01-01") + width)
    narrow = narrower(window, logs, window.width, bounds)
    assert bounds.finest <= narrow < window.width


def test_an_instant_near_midnight_says_nothing_of_the_boundary_rule() -> None:
    midnight = at("2026-01-31")
    assert probe_instant([midnight, midnight + SECOND, midnight - SECOND]) is None
    assert probe_instant([midnight, midnight + DAY // 2]) == midnight + DAY // 2


@pytest.mark.parametrize(
    ("text", "same"),
    [
        pytest.param("2024-05-06T12:20:00Z", "2024-05-06T12:20:00Z", id="seconds"),
        pytest.param("2024-05-06T12:20:00.123Z", "2024-05-06T12:20:00.123000Z", id="milliseconds"),
        pytest.param("2024-05-06T12:20:00.5Z", "2024-05-06T12:20:00.500000Z", id="one digit"),
        pytest.param("2024-05-06T14:20:00+02:00", "2024-05-06T12:20:00Z", id="another zone"),
        pytest.param("2024-05-06 12:20:00", "2024-05-06T12:20:00Z", id="no zone is UTC"),
        pytest.param("2024-05-06", "2024-05-06T00:00:00Z", id="a date"),
    ],
)
def test_created_at_is_read_in_every_form_of_iso_8601(text: str, same: str) -> None:
    assert to_text(parse_instant(text)) == same


@pytest.mark.parametrize(
    "value", [None, 5, "", "yesterday", "now", "12:20:00", "2024-13-01", "2024-05-06T25:00:00Z"], ids=str
)
def test_what_is_no_date_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=re.compile(".")):
        parse_instant(value)
