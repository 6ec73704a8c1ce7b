from __future__ import annotations

import itertools
import re

import pytest

from tap_signalwire_logs.instants import DAY, SECOND, parse_instant, to_text
from tap_signalwire_logs.windows import (
    MAX_LOGS,
    MAX_SPLITS,
    NO_LOGS_BEFORE,
    TARGET_LOGS,
    FilterGranularity,
    LowerBound,
    Window,
    is_too_full,
    probe_instant,
    split,
    width_after,
)


def at(text: str) -> int:
    return parse_instant(text)


@pytest.mark.parametrize(
    ("window", "granularity", "params"),
    [
        pytest.param(
            Window(at("2026-01-31T08:00:00Z"), at("2026-01-31T09:00:00Z")),
            FilterGranularity.TIMESTAMPS,
            {"created_after": "2026-01-31T07:59:59Z", "created_before": "2026-01-31T09:00:01Z"},
            id="a second to spare on either side",
        ),
        pytest.param(
            Window(at("2026-01-31T08:00:00.5Z"), at("2026-01-31T09:00:00.5Z")),
            FilterGranularity.TIMESTAMPS,
            {"created_after": "2026-01-31T07:59:59Z", "created_before": "2026-01-31T09:00:02Z"},
            id="parts of a second are rounded outwards",
        ),
        pytest.param(
            Window(at("2026-01-31T08:00:00Z"), at("2026-01-31T09:00:00Z")),
            FilterGranularity.DAYS,
            {"created_after": "2026-01-30", "created_before": "2026-02-01"},
            id="days: the day before, and the day after",
        ),
        pytest.param(
            Window(at("2026-01-31"), at("2026-02-01")),
            FilterGranularity.DAYS,
            {"created_after": "2026-01-30", "created_before": "2026-02-01"},
            id="a whole day ends at its midnight",
        ),
        pytest.param(
            Window(0, at("2026-02-01"), LowerBound.OPEN),
            FilterGranularity.DAYS,
            {"created_before": "2026-02-01"},
            id="no lower bound where all the history is wanted",
        ),
        pytest.param(
            Window(at("2026-01-31"), at("2026-02-01"), LowerBound.OPEN),
            FilterGranularity.TIMESTAMPS,
            {"created_before": "2026-02-01T00:00:01Z"},
            id="no lower bound where it would lie before the kept history",
        ),
    ],
)
def test_a_window_is_asked_with_room_to_spare(
    window: Window, granularity: FilterGranularity, params: dict[str, str]
) -> None:
    assert window.list_params(granularity) == [params]


def test_an_open_ended_window_asks_for_no_upper_bound_and_holds_what_is_dated_later() -> None:
    window = Window(at("2026-01-31"), at("2026-02-01"), is_open_ended=True)
    assert window.list_params(FilterGranularity.DAYS) == [{"created_after": "2026-01-30"}]
    assert [window.holds(instant) for instant in (window.start - 1, window.start, at("2036-01-01"))] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("granularity", list(FilterGranularity))
def test_the_day_of_an_exact_lower_bound_is_asked_for_beside_it(granularity: FilterGranularity) -> None:
    window = Window(at("2026-01-31T08:00:00Z"), at("2026-02-01"), LowerBound.EXACT)
    after, on = window.list_params(granularity)
    assert (after["created_after"], on) == ("2026-01-31", {"created_on": "2026-01-31"})


def test_a_window_holds_its_start_and_not_its_end() -> None:
    window = Window(10, 20)
    assert [window.holds(instant) for instant in (9, 10, 19, 20)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("start", "end", "width", "granularity", "stop"),
    [
        pytest.param(
            "2026-01-01", "2026-02-01", DAY, FilterGranularity.TIMESTAMPS, "2026-01-02", id="as wide as asked"
        ),
        pytest.param(
            "2026-01-01",
            "2026-01-01T08:00:00",
            DAY,
            FilterGranularity.TIMESTAMPS,
            "2026-01-01T08:00:00",
            id="never past the end",
        ),
        pytest.param(
            "2026-01-01T08:00:00",
            "2026-02-01",
            1,
            FilterGranularity.TIMESTAMPS,
            "2026-01-01T08:00:01",
            id="never under a second",
        ),
        pytest.param(
            "2026-01-01T08:00:00",
            "2026-02-01",
            1,
            FilterGranularity.DAYS,
            "2026-01-02",
            id="days: to the next midnight",
        ),
        pytest.param(
            "2026-01-01T08:00:00", "2026-02-01", 3 * DAY, FilterGranularity.DAYS, "2026-01-04", id="days: whole ones"
        ),
        pytest.param(
            "2026-01-01T08:00:00",
            "2026-01-03T09:00:00",
            9 * DAY,
            FilterGranularity.DAYS,
            "2026-01-03T09:00:00",
            id="days: the end",
        ),
    ],
)
def test_windows_are_cut_at_what_the_service_can_tell_apart(
    start: str, end: str, width: int, granularity: FilterGranularity, stop: str
) -> None:
    window = Window(at(start), at(end), LowerBound.OPEN, is_open_ended=True)
    part = window.first_part(width, granularity)
    assert (part.start, to_text(part.end), part.lower_bound) == (window.start, to_text(at(stop)), LowerBound.OPEN)
    assert part.is_open_ended is (part.end == window.end)
    rest = window.after(part)
    assert rest == (None if part.is_open_ended else Window(part.end, window.end, is_open_ended=True))


def test_windows_widen_over_quiet_years_and_narrow_where_it_is_busy() -> None:
    assert width_after(DAY, 0) == 4 * DAY
    assert width_after(DAY, TARGET_LOGS) == DAY
    assert width_after(DAY, 2 * TARGET_LOGS) == DAY // 2


def test_the_width_that_follows_keeps_to_the_target_that_is_given() -> None:
    assert width_after(DAY, 10, target=10) == DAY
    assert width_after(DAY, 20, target=10) == DAY // 2
    assert width_after(DAY, 2, target=10) == 4 * DAY


@pytest.mark.parametrize("granularity", list(FilterGranularity))
@pytest.mark.parametrize(
    "start", ["2026-01-01T00:00:00Z", "2026-01-01T08:00:00.25Z", "1999-01-01", "2011-12-31T12:00:00Z"]
)
@pytest.mark.parametrize("width", [2 * DAY, 2 * DAY + 1, 40 * DAY, 9000 * DAY])
def test_the_parts_of_a_window_are_narrower_and_meet_without_gap_or_overlap(
    granularity: FilterGranularity, start: str, width: int
) -> None:
    window = Window(at(start), at(start) + width, LowerBound.OPEN, is_open_ended=True)
    parts = split(window, granularity)
    if window.end <= NO_LOGS_BEFORE:
        assert parts == [window], "there is nothing to look for"
        return
    assert 2 <= len(parts) <= MAX_SPLITS
    assert (parts[0].start, parts[-1].end) == (window.start, window.end)
    assert all(one.end == other.start for one, other in itertools.pairwise(parts))
    assert [part.is_open_ended for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [part.lower_bound for part in parts] == [LowerBound.OPEN] + [LowerBound.SPARE] * (len(parts) - 1)
    assert all(part.width < window.width for part in parts)


@pytest.mark.parametrize(
    ("window", "granularity"),
    [
        pytest.param(
            Window(at("2026-01-31T08:00:00Z"), at("2026-01-31T08:00:01Z")), FilterGranularity.TIMESTAMPS, id="s"
        ),
        pytest.param(Window(at("2026-01-31"), at("2026-02-01")), FilterGranularity.DAYS, id="a day"),
        pytest.param(Window(at("2026-01-31T08:00:00Z"), at("2026-01-31T09:00:00Z")), FilterGranularity.DAYS, id="less"),
    ],
)
def test_what_the_filters_cannot_tell_apart_is_not_split(window: Window, granularity: FilterGranularity) -> None:
    assert split(window, granularity) == [window]


@pytest.mark.parametrize(
    ("logs", "span", "expected"),
    [
        pytest.param(MAX_LOGS, 0, True, id="at one instant, past the most"),
        pytest.param(MAX_LOGS - 1, 0, False, id="at one instant"),
        pytest.param(5_000, 5 * DAY, False, id="as full as it should be"),
        pytest.param(5_000, DAY, True, id="five times too full"),
        pytest.param(1_000, DAY // 5, False, id="too early to tell"),
        pytest.param(0, 0, False, id="nothing read"),
    ],
)
def test_a_window_is_too_full_by_what_its_first_pages_show(logs: int, span: int, expected: bool) -> None:
    window = Window(at("2026-01-01"), at("2026-01-11"))
    assert is_too_full(logs, span, window, target=10_000) is expected


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
