from __future__ import annotations

import json
from typing import Any

import pytest

from tap_signalwire_logs.instants import SECOND, parse_instant, to_text
from tap_signalwire_logs.state import FREE_LOOKS, MOST_REMEMBERED, LogState, fingerprint

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NOW = parse_instant("2026-01-31T08:00:00Z")


def state_of(stored: dict[str, Any], now: int = NOW, *, lists_again: bool = False, shared_by: int = 1) -> LogState:
    return LogState(
        stored,
        replication_key="created_at",
        now=now,
        lookback=10 * MINUTE,
        refresh=72 * HOUR,
        lists_again=lists_again,
        shared_by=shared_by,
    )


def sent(status: str = "sent") -> list[dict[str, Any]]:
    return [{"status": status}]


def emit(state: LogState, log_id: str, created: int, records: list[dict[str, Any]]) -> None:
    state.emitted(log_id, created, records, is_final=records == sent("delivered"))


def test_the_bookmark_moves_when_a_window_closes_and_not_before() -> None:
    stored: dict[str, Any] = {}
    state = state_of(stored)
    emit(state, "a", NOW - HOUR, sent("delivered"))
    assert stored == {}
    state.commit(NOW - HOUR)
    assert stored["replication_key_value"] == "2026-01-31T07:00:00Z"


def test_the_bookmark_never_moves_back() -> None:
    stored: dict[str, Any] = {}
    state = state_of(stored)
    state.commit(NOW - HOUR)
    state.commit(NOW - 2 * HOUR)
    state.commit(None)
    assert stored["replication_key_value"] == "2026-01-31T07:00:00Z"


def test_a_run_begins_a_lookback_before_the_bookmark() -> None:
    assert state_of({"replication_key_value": "2026-01-31T07:00:00Z"}).discover_from == NOW - HOUR - 10 * MINUTE
    assert state_of({}).discover_from is None


def test_a_log_that_is_not_final_waits_until_it_is() -> None:
    stored: dict[str, Any] = {}
    state = state_of(stored)
    emit(state, "a", NOW - HOUR, sent())
    state.commit(NOW - HOUR)
    assert stored["waiting"] == {"a": ["2026-01-31T07:00:00Z", fingerprint(sent()), 0]}

    later = state_of(stored, NOW + MINUTE)
    assert later.due() == [(NOW - HOUR, "a")]
    emit(later, "a", NOW - HOUR, sent("delivered"))
    later.commit(None)
    assert "waiting" not in stored


def test_a_waiting_log_that_looks_the_same_is_known_as_unchanged() -> None:
    stored: dict[str, Any] = {}
    state = state_of(stored)
    emit(state, "a", NOW - HOUR, sent())
    state.commit(NOW - HOUR)
    later = state_of(stored, NOW + MINUTE)
    assert later.is_unchanged("a", sent(), is_final=False)
    assert not later.is_unchanged("a", sent("undelivered"), is_final=False)
    assert not later.is_unchanged("b", sent(), is_final=False)


def test_a_log_that_got_final_without_a_change_to_its_records_waits_no_more() -> None:
    state = state_of({})
    emit(state, "a", NOW - HOUR, sent())
    assert state.is_unchanged("a", sent(), is_final=True)
    assert state.waiting == {}


def test_where_there_is_no_get_a_run_begins_at_the_oldest_waiting_log() -> None:
    stored: dict[str, Any] = {}
    state = state_of(stored)
    emit(state, "old", NOW - 9 * HOUR, sent())
    emit(state, "new", NOW - HOUR, sent("delivered"))
    state.commit(NOW - HOUR)
    assert state_of(stored, lists_again=True).discover_from == NOW - 9 * HOUR
    assert state_of(stored).discover_from == NOW - HOUR - 10 * MINUTE


def test_a_log_older_than_the_refresh_time_does_not_wait() -> None:
    state = state_of({})
    emit(state, "old", NOW - 72 * HOUR, sent())
    emit(state, "young", NOW - 72 * HOUR + SECOND, sent())
    assert list(state.waiting) == ["young"]


def test_a_waiting_log_is_looked_at_once_more_after_the_refresh_time_and_then_dropped() -> None:
    stored: dict[str, Any] = {"waiting": {"a": [to_text(NOW - 100 * HOUR), fingerprint(sent()), 0]}}
    state = state_of(stored)
    assert state.due() == [(NOW - 100 * HOUR, "a")]
    assert state.is_unchanged("a", sent(), is_final=False)
    state.commit(None)
    assert "waiting" not in stored


def test_looks_at_a_log_that_never_changes_are_spaced_out_as_it_ages() -> None:
    stored: dict[str, Any] = {}
    created = NOW
    state = state_of(stored, created)
    emit(state, "a", created, sent())
    state.commit(created)
    looks = 0
    for minutes in range(5, 73 * 60, 5):
        state = state_of(json.loads(json.dumps(stored)), created + minutes * MINUTE)
        for _, log_id in state.due():
            looks += 1
            assert state.is_unchanged(log_id, sent(), is_final=False)
        stored = {}
        state._stored = stored
        state.commit(None)
    assert FREE_LOOKS < looks < 72, "a few dozen looks in 72 hours of runs every 5 minutes"
    assert "waiting" not in stored


def test_final_logs_within_the_lookback_are_not_fetched_again() -> None:
    stored: dict[str, Any] = {}
    state = state_of(stored)
    emit(state, "before", NOW - HOUR, sent("delivered"))
    emit(state, "within", NOW - 5 * MINUTE, sent("delivered"))
    state.commit(NOW - 5 * MINUTE)
    later = state_of(stored)
    assert later.needs_no_fetch("within")
    assert list(stored["recent"]) == ["within"]


def test_past_the_bound_the_bookmark_stays_at_the_oldest_log_that_is_not_remembered() -> None:
    stored: dict[str, Any] = {}
    state = state_of(stored)
    first = NOW - HOUR
    for number in range(MOST_REMEMBERED + 50):
        emit(state, f"{number:036d}", first + number, sent())
    state.commit(NOW)
    assert len(stored["waiting"]) == MOST_REMEMBERED
    assert parse_instant(stored["replication_key_value"]) == first + MOST_REMEMBERED


def test_streams_share_the_room_and_what_one_has_no_room_for_any_more_is_listed_again() -> None:
    stored: dict[str, Any] = {}
    state = state_of(stored)
    first = NOW - HOUR
    for number in range(MOST_REMEMBERED):
        emit(state, f"{number:036d}", first + number, sent())
    state.commit(NOW)
    shared = state_of(stored, shared_by=6)
    shared.commit(NOW)
    assert len(stored["waiting"]) == MOST_REMEMBERED // 6
    assert parse_instant(stored["replication_key_value"]) == first + MOST_REMEMBERED // 6


def test_a_state_message_at_its_fullest_stays_under_a_megabyte() -> None:
    stored: dict[str, Any] = {}
    state = state_of(stored)
    for number in range(MOST_REMEMBERED + 50):
        emit(state, f"{number:036d}", NOW - 123_456 + number, sent())
    for log in state.waiting.values():
        log.looks, log.looked = 9_999, NOW - 1
    for number in range(MOST_REMEMBERED + 50):
        emit(state, f"r{number:035d}", NOW - 123_456 + number, sent("delivered"))
    state.commit(NOW)
    assert len(stored["waiting"]) == MOST_REMEMBERED
    assert len(stored["recent"]) == MOST_REMEMBERED
    assert len(json.dumps(stored)) < 1_000_000


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param({"replication_key_value": "gibberish"}, id="bookmark"),
        pytest.param({"waiting": ["a"]}, id="waiting is a list"),
        pytest.param({"waiting": {"a": None, "b": [], "c": [5], "d": ["x", 1, 2]}}, id="waiting entries"),
        pytest.param({"recent": {"a": {}}}, id="recent entries"),
    ],
)
def test_state_that_cannot_be_read_costs_requests_and_no_crash(stored: dict[str, Any]) -> None:
    state = state_of(stored)
    assert state.discover_from is None
    assert state.due() == []
