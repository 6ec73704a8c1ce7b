"""How the backfill cuts a range, and how it compares what is listed with what landed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from meltano_project import Entry, backfill_windows, checked_loaders, compare, parse_instant, table_window

NOW = datetime(2026, 3, 10, 8, 45, tzinfo=timezone.utc)
LOGS = [Entry(NOW + timedelta(minutes=number // 2), f"log-{number}") for number in range(6)]


@pytest.mark.parametrize(
    ("start", "end", "hours", "edges"),
    [
        pytest.param("2026-01-01", "2026-01-02", 24, ["01T00", "02T00"], id="one window"),
        pytest.param("2026-01-01", "2026-01-02", 12, ["01T00", "01T12", "02T00"], id="an even cut"),
        pytest.param("2026-01-01", "2026-01-02", 18, ["01T00", "01T18", "02T00"], id="the last is shorter"),
        pytest.param("2026-01-01T02:00:00+02:00", "2026-01-01T05:00Z", 3, ["01T00", "01T03", "01T05"], id="zones"),
    ],
)
def test_windows_meet_and_cover_the_range(start: str, end: str, hours: int, edges: list[str]) -> None:
    windows = backfill_windows(start, end, hours, now=NOW)
    cut = [(one["TAP_SIGNALWIRE_LOGS_START_DATE"], one["TAP_SIGNALWIRE_LOGS_END_DATE"]) for one in windows]
    expected = [f"2026-01-{edge}:00:00Z" for edge in edges]
    assert [start for start, _ in cut] == expected[:-1]
    assert [end for _, end in cut] == expected[1:]
    assert len({one["STATE_SUFFIX"] for one in windows}) == len(windows)


def test_without_an_end_the_range_ends_where_logs_change_no_more() -> None:
    windows = backfill_windows("2026-03-01", "", 24, now=NOW)
    assert windows[-1]["TAP_SIGNALWIRE_LOGS_END_DATE"] == "2026-03-07T08:00:00Z"


def test_a_window_has_the_same_state_in_every_run_and_another_under_another_name() -> None:
    one, again, other = (
        backfill_windows("2026-01-01", "2026-01-02", 24, name=name, now=NOW)[0]["STATE_SUFFIX"]
        for name in ("backfill", "backfill", "anew")
    )
    assert one == again != other


def test_the_table_is_made_by_a_window_of_a_second_with_a_state_of_its_own() -> None:
    windows = backfill_windows("2026-01-01", "2026-01-03", 24, now=NOW)
    window = table_window(windows)
    assert window["TAP_SIGNALWIRE_LOGS_END_DATE"] == "2026-01-01T00:00:01Z"
    assert window["STATE_SUFFIX"] not in {one["STATE_SUFFIX"] for one in windows}


@pytest.mark.parametrize(
    ("start", "end", "hours", "why"),
    [
        pytest.param("2026-01-02", "2026-01-01", 24, "must lie before", id="nothing between"),
        pytest.param("2020-01-01", "2026-01-01", 1, "set `window_hours` to at least 53", id="too many windows"),
        pytest.param("soon", "2026-01-01", 1, "Invalid isoformat", id="no date"),
    ],
)
def test_a_range_that_can_t_be_cut_is_refused(start: str, end: str, hours: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        backfill_windows(start, end, hours, now=NOW)


@pytest.mark.parametrize(
    ("landed", "missing", "doubled", "gone"),
    [
        pytest.param([0, 1, 2, 3, 4, 5], [], 0, 0, id="equal"),
        pytest.param([1, 2, 4], [0, 3, 5], 0, 0, id="missing at both ends and within"),
        pytest.param([], [0, 1, 2, 3, 4, 5], 0, 0, id="an empty table"),
        pytest.param([0, 0, 1, 2, 3, 4, 5, 5, 5], [], 3, 0, id="doubled"),
    ],
)
def test_each_listed_log_must_have_landed_once(landed: list[int], missing: list[int], doubled: int, gone: int) -> None:
    comparison = compare(LOGS, [LOGS[number] for number in landed])
    assert comparison.listed == len(LOGS)
    assert comparison.missing == len(missing)
    assert [named.split()[0] for named in comparison.named] == [LOGS[number].log_id for number in missing]
    assert (comparison.doubled, comparison.no_longer_listed) == (doubled, gone)


def test_rows_of_logs_that_are_no_longer_listed_are_counted_and_no_fault() -> None:
    comparison = compare([LOGS[0], LOGS[3]], LOGS)
    assert (comparison.missing, comparison.doubled, comparison.no_longer_listed) == (0, 0, 4)


def test_a_log_that_landed_with_another_time_is_missing() -> None:
    moved = LOGS[0]._replace(created=LOGS[0].created - timedelta(seconds=1))
    comparison = compare(LOGS, [moved, *LOGS[1:]])
    assert (comparison.missing, comparison.no_longer_listed) == (1, 1)


@pytest.mark.parametrize(
    "text", ["2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500000+00:00", "2026-01-01 00:00:00.5"]
)
def test_a_part_of_a_second_has_any_number_of_digits(text: str) -> None:
    assert parse_instant(text) == datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=timezone.utc)


def test_only_loaders_whose_table_can_be_checked_are_offered() -> None:
    assert checked_loaders() == ["target-postgres", "target-bigquery"]
