"""How the backfill cuts a range, and what it offers."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from meltano_project import backfill_loaders, backfill_windows, parse_instant, table_window, whole_range

NOW = datetime(2026, 3, 10, 8, 45, tzinfo=timezone.utc)


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


def test_the_comparison_at_the_end_is_of_the_whole_range() -> None:
    windows = backfill_windows("2026-01-01", "2026-01-03", 18, now=NOW)
    variables = whole_range(windows)
    assert (variables["RANGE_START"], variables["RANGE_END"]) == ("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z")


@pytest.mark.parametrize(
    "text", ["2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500000+00:00", "2026-01-01 00:00:00.5"]
)
def test_a_part_of_a_second_has_any_number_of_digits(text: str) -> None:
    assert parse_instant(text) == datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=timezone.utc)


def test_only_loaders_that_take_several_writers_are_offered() -> None:
    assert backfill_loaders() == ["target-postgres", "target-bigquery"]
