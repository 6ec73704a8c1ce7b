from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tap_signalwire_logs.extraction import RefreshQueue
from tap_signalwire_logs.instants import DAY, SECOND, parse_instant, to_text
from tap_signalwire_logs.state import (
    CHECKS_BEFORE_BACKOFF,
    MAX_REMEMBERED,
    MAX_UNREAD,
    RARE_AGE,
    RUNS_TO_BE_GONE,
    LogState,
    PendingLog,
    fingerprint,
)

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NOW = parse_instant("2026-01-31T08:00:00Z")
REFRESH = 72 * HOUR

Stored = dict[str, Any]


def state_of(stored: Stored, now: int = NOW, *, lists_pending: bool = False, shared_by: int = 1) -> LogState:
    return LogState(
        stored,
        replication_key="created_at",
        now=now,
        lookback=10 * MINUTE,
        refresh=REFRESH,
        lists_pending=lists_pending,
        shared_by=shared_by,
    )


def sent(status: str = "sent") -> list[bytes]:
    return [msgspec.json.encode({"status": status})]


def emit(state: LogState, log_id: str, created: int, records: list[bytes]) -> None:
    state.emitted(log_id, created, fingerprint(records), is_final=records == sent("delivered"))


def due(state: LogState) -> list[tuple[int, str]]:
    """Logs that a run checks, as `Extraction` takes them of the state."""
    return sorted((log.created, log_id) for log_id, log in state.pending.items() if log.is_due(state.now, REFRESH))


def save(state: LogState, bookmark: int | None = None) -> None:
    state.advance(bookmark)
    state.save()


def kept(stored: Stored) -> Stored:
    """The state after a round through an orchestrator's store."""
    content: Stored = json.loads(json.dumps(stored))
    return content


def merged(old: Stored, new: Stored) -> Stored:
    """An older state with a newer one merged into it, key by key, as Meltano does after a failed run."""
    result = dict(old)
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def test_the_bookmark_moves_when_it_is_saved_and_not_before() -> None:
    stored: Stored = {}
    state = state_of(stored)
    emit(state, "a", NOW - HOUR, sent("delivered"))
    assert stored == {}
    state.advance(NOW - HOUR)
    assert stored == {}
    state.save()
    assert stored["replication_key"] == "created_at"
    assert stored["replication_key_value"] == "2026-01-31T07:00:00Z"


def test_the_bookmark_never_moves_back() -> None:
    stored: Stored = {}
    state = state_of(stored)
    save(state, NOW - HOUR)
    save(state, NOW - 2 * HOUR)
    save(state, None)
    assert stored["replication_key_value"] == "2026-01-31T07:00:00Z"


@pytest.mark.parametrize("later", [SECOND, DAY, 4_000 * DAY], ids=["a second", "a day", "eleven years"])
def test_the_bookmark_never_passes_the_run_s_own_now(later: int) -> None:
    stored: Stored = {}
    state = state_of(stored)
    save(state, NOW + later)
    assert stored["replication_key_value"] == to_text(NOW)


def test_a_bookmark_after_the_service_s_time_goes_back_to_it() -> None:
    stored: Stored = {"replication_key_value": to_text(NOW + DAY)}
    state = state_of(stored, NOW + 2 * DAY)
    state.set_now(NOW)
    save(state, NOW + HOUR)
    assert stored["replication_key_value"] == to_text(NOW)


def test_a_state_without_news_is_left_as_it_is() -> None:
    stored: Stored = {}
    save(state_of(stored), NOW - HOUR)
    before = kept(stored)
    save(state_of(stored, NOW + MINUTE), NOW - HOUR)
    assert stored == before


def test_a_run_begins_a_lookback_before_the_bookmark() -> None:
    assert state_of({"replication_key_value": "2026-01-31T07:00:00Z"}).discover_from == NOW - HOUR - 10 * MINUTE
    assert state_of({}).discover_from is None


def test_a_log_that_is_not_final_waits_until_it_is() -> None:
    stored: Stored = {}
    state = state_of(stored)
    emit(state, "a", NOW - HOUR, sent())
    save(state, NOW - HOUR)
    assert stored["waiting"] == {"a": ["2026-01-31T07:00:00Z", fingerprint(sent()), 0, 1]}

    later = state_of(stored, NOW + MINUTE)
    assert due(later) == [(NOW - HOUR, "a")]
    emit(later, "a", NOW - HOUR, sent("delivered"))
    save(later)
    assert stored["waiting"] == {}


def test_a_waiting_log_that_looks_the_same_is_known_as_unchanged() -> None:
    stored: Stored = {}
    state = state_of(stored)
    emit(state, "a", NOW - HOUR, sent())
    save(state, NOW - HOUR)
    later = state_of(stored, NOW + MINUTE)
    assert later.is_unchanged("a", fingerprint(sent()))
    assert not later.is_unchanged("a", fingerprint(sent("undelivered")))
    assert not later.is_unchanged("b", fingerprint(sent()))


def test_a_fingerprint_knows_content_and_not_the_order_of_fields() -> None:
    assert fingerprint([b'{"a":1,"b":0.10}']) == fingerprint([b'{ "b": 0.10, "a": 1 }'])
    assert fingerprint([b'{"a":1}']) != fingerprint([b'{"a":2}'])
    assert fingerprint([b'{"a":1}']) != fingerprint([b'{"a":1}', b'{"a":1}'])
    assert fingerprint([b'{"charge":0.123456789012345678}']) != fingerprint([b'{"charge":0.123456789012345679}'])


def test_a_log_that_got_final_without_a_change_to_its_records_waits_no_more() -> None:
    state = state_of({})
    emit(state, "a", NOW - HOUR, sent())
    assert state.is_unchanged("a", fingerprint(sent()))
    state.checked("a", is_final=True)
    assert state.pending == {}


def test_where_there_is_no_get_a_run_begins_at_the_oldest_waiting_log() -> None:
    stored: Stored = {}
    state = state_of(stored)
    emit(state, "old", NOW - 9 * HOUR, sent())
    emit(state, "new", NOW - HOUR, sent("delivered"))
    save(state, NOW - HOUR)
    assert state_of(stored, lists_pending=True).discover_from == NOW - 9 * HOUR
    assert state_of(stored).discover_from == NOW - HOUR - 10 * MINUTE


def test_a_log_older_than_the_refresh_time_does_not_wait() -> None:
    state = state_of({})
    emit(state, "old", NOW - 72 * HOUR, sent())
    emit(state, "young", NOW - 72 * HOUR + SECOND, sent())
    assert list(state.pending) == ["young"]


def test_a_waiting_log_is_checked_once_more_after_the_refresh_time_and_then_dropped() -> None:
    stored: Stored = {"waiting": {"a": [to_text(NOW - 100 * HOUR), fingerprint(sent()), 0]}}
    state = state_of(stored)
    assert due(state) == [(NOW - 100 * HOUR, "a")]
    assert state.is_unchanged("a", fingerprint(sent()))
    state.checked("a", is_final=False)
    save(state)
    assert stored["waiting"] == {}


@pytest.mark.parametrize(
    ("log", "now", "expected"),
    [
        pytest.param(PendingLog(NOW, "f"), NOW + 5 * MINUTE, True, id="the first checks come with each run"),
        pytest.param(PendingLog(NOW, "f", CHECKS_BEFORE_BACKOFF - 1), NOW + HOUR, True, id="the last of them"),
        pytest.param(PendingLog(NOW, "f", CHECKS_BEFORE_BACKOFF), NOW + HOUR, True, id="never checked by this count"),
        pytest.param(
            PendingLog(NOW, "f", CHECKS_BEFORE_BACKOFF, NOW + 10 * HOUR),
            NOW + 11 * HOUR - 1,
            False,
            id="not a tenth on",
        ),
        pytest.param(
            PendingLog(NOW, "f", CHECKS_BEFORE_BACKOFF, NOW + 10 * HOUR), NOW + 11 * HOUR, True, id="a tenth on"
        ),
        pytest.param(
            PendingLog(NOW, "f", 99, NOW + 72 * HOUR - 1), NOW + 72 * HOUR, True, id="once more at the end of its time"
        ),
        pytest.param(
            PendingLog(NOW, "f", 99, NOW + 10 * HOUR, NOW), NOW + 10 * HOUR + 1, True, id="always while its get fails"
        ),
        pytest.param(
            PendingLog(NOW, "f", 99, NOW + 10 * HOUR, not_found=1), NOW + 10 * HOUR + 1, True, id="or is not found"
        ),
        pytest.param(PendingLog(NOW, "f", is_rare=True), NOW + RARE_AGE - 1, False, id="rare: not at first"),
        pytest.param(PendingLog(NOW, "f", is_rare=True), NOW + RARE_AGE, True, id="rare: after its age"),
        pytest.param(PendingLog(NOW, "f", 3, NOW, is_rare=True), NOW + 8 * RARE_AGE - 1, False, id="rare: not yet"),
        pytest.param(PendingLog(NOW, "f", 3, NOW, is_rare=True), NOW + 8 * RARE_AGE, True, id="rare: age doubled"),
        pytest.param(
            PendingLog(NOW, "f", 60, NOW, is_rare=True), NOW + 72 * HOUR, True, id="rare: at the end of its time"
        ),
        pytest.param(PendingLog(NOW, "f", 40, NOW - DAY), NOW - DAY, True, id="a clock that stands before created_at"),
    ],
)
def test_when_a_pending_log_is_due(log: PendingLog, now: int, expected: bool) -> None:
    assert log.is_due(now, REFRESH) is expected


def _checks_in_72_hours(*, is_rare: bool) -> tuple[int, Stored]:
    """Checks of a log that never changes, in runs every 5 minutes."""
    stored: Stored = {}
    state = state_of(stored, NOW)
    state.emitted("a", NOW, fingerprint(sent()), is_final=False, is_rare=is_rare)
    save(state, NOW)
    checks = 0
    for minutes in range(5, 73 * 60, 5):
        stored = kept(stored)
        state = state_of(stored, NOW + minutes * MINUTE)
        for _, log_id in due(state):
            checks += 1
            state.checked(log_id, is_final=False, is_rare=is_rare)
        save(state)
    return checks, stored


def test_checks_of_a_log_that_never_changes_are_spaced_out_as_it_ages() -> None:
    checks, stored = _checks_in_72_hours(is_rare=False)
    assert CHECKS_BEFORE_BACKOFF < checks < 72, "a few dozen checks in 72 hours of runs every 5 minutes"
    assert stored["waiting"] == {}


def test_a_log_for_which_no_receipt_comes_is_checked_a_few_times_only() -> None:
    checks, stored = _checks_in_72_hours(is_rare=True)
    assert 5 <= checks <= 12, "each time that its age has doubled"
    assert stored["waiting"] == {}


def test_final_logs_within_the_lookback_are_not_fetched_again() -> None:
    stored: Stored = {}
    state = state_of(stored)
    emit(state, "before", NOW - HOUR, sent("delivered"))
    emit(state, "within", NOW - 5 * MINUTE, sent("delivered"))
    save(state, NOW - 5 * MINUTE)
    assert state_of(stored).emitted_before == {"within"}
    assert list(stored["recent"]) == ["within"]


def test_past_the_bound_the_bookmark_stays_at_the_oldest_log_that_is_not_remembered() -> None:
    stored: Stored = {}
    state = state_of(stored)
    first = NOW - HOUR
    for number in range(MAX_REMEMBERED + 50):
        emit(state, f"{number:036d}", first + number, sent())
    save(state, NOW)
    assert len(stored["waiting"]) == MAX_REMEMBERED
    assert parse_instant(stored["replication_key_value"]) == first + MAX_REMEMBERED


def test_streams_share_the_room_and_what_one_has_no_room_for_any_more_is_listed_again() -> None:
    stored: Stored = {}
    state = state_of(stored)
    first = NOW - HOUR
    for number in range(MAX_REMEMBERED):
        emit(state, f"{number:036d}", first + number, sent())
    save(state, NOW)
    shared = state_of(stored, shared_by=6)
    save(shared, NOW)
    assert len(stored["waiting"]) == MAX_REMEMBERED // 6
    assert parse_instant(stored["replication_key_value"]) == first + MAX_REMEMBERED // 6


def test_a_state_message_at_its_fullest_stays_under_a_megabyte() -> None:
    stored: Stored = {}
    state = state_of(stored)
    ids = [f"{number:036d}" for number in range(MAX_REMEMBERED + 50)]
    for number, log_id in enumerate(ids):
        state.pending[log_id] = PendingLog(
            NOW - 123_456 + number, fingerprint(sent()), 9_999, NOW - SECOND, NOW - SECOND, 1, is_rare=True
        )
        if number == MAX_REMEMBERED - 1:
            break
    for log_id in ids:
        emit(state, f"r{log_id[1:]}", NOW - 123_456, sent("delivered"))
    for number in range(3 * MAX_UNREAD):
        state.range_unread(NOW + number * 10 + 1, NOW + number * 10 + 2)
    save(state, NOW)
    assert len(stored["waiting"]) == MAX_REMEMBERED
    assert len(stored["recent"]) == MAX_REMEMBERED
    assert len(json.dumps(stored)) < 1_000_000


def test_a_pending_log_comes_back_as_it_was_kept() -> None:
    logs = {
        "plain": PendingLog(NOW - HOUR, "f"),
        "checked": PendingLog(NOW - HOUR, "f", 3),
        "backed off": PendingLog(NOW - HOUR, "f", CHECKS_BEFORE_BACKOFF, NOW - MINUTE),
        "fails": PendingLog(NOW - HOUR, "", 0, None, NOW - MINUTE),
        "not found": PendingLog(NOW - HOUR, "f", 2, None, NOW - MINUTE, 1),
        "rare": PendingLog(NOW - HOUR, "f", 4, is_rare=True),
        "parts of a second": PendingLog(NOW - HOUR + 123_456, "f"),
    }
    stored: Stored = {}
    state = state_of(stored)
    state.pending.update(logs)
    save(state, NOW)
    assert state_of(kept(stored)).pending == logs


# What fails


def test_a_log_whose_get_fails_waits_for_it_and_is_given_up_after_the_refresh_time() -> None:
    stored: Stored = {}
    state = state_of(stored)
    assert state.failed("a", NOW - HOUR, fingerprint(sent()))
    save(state, NOW)
    for hours in (1, 71):
        state = state_of(kept(stored), NOW + hours * HOUR)
        assert due(state) == [(NOW - HOUR, "a")]
        assert state.failed("a", NOW - HOUR)
        assert state.is_unchanged("a", fingerprint(sent())), "the list entry that was written is known"
    state = state_of(kept(stored), NOW + 72 * HOUR)
    assert not state.failed("a", NOW - HOUR)
    assert state.pending == {}


def test_an_old_log_whose_get_fails_waits_as_long_as_a_young_one() -> None:
    state = state_of({})
    assert state.failed("a", NOW - 900 * DAY)
    assert due(state) == [(NOW - 900 * DAY, "a")]


def test_a_log_is_gone_when_as_many_runs_did_not_find_it_and_an_answer_between_begins_anew() -> None:
    state = state_of({})
    for _ in range(RUNS_TO_BE_GONE - 1):
        assert state.failed("a", NOW, is_not_found=True)
    assert state.failed("a", NOW, is_not_found=False), "an outage is no word on it"
    for _ in range(RUNS_TO_BE_GONE - 1):
        assert state.failed("a", NOW, is_not_found=True)
    assert not state.failed("a", NOW, is_not_found=True)
    assert state.pending == {}


def test_a_get_that_is_answered_again_ends_the_failing() -> None:
    state = state_of({})
    state.failed("a", NOW - HOUR, fingerprint(sent()))
    state.checked("a", is_final=False)
    assert state.pending["a"] == PendingLog(NOW - HOUR, fingerprint(sent()), 1, NOW)


# What could not be read


def _unread(stored: Stored) -> list[tuple[int, int]]:
    return [(parse_instant(start), parse_instant(end)) for start, end, _ in stored["unread"]]


def test_a_range_that_could_not_be_read_is_kept_and_given_up_after_the_refresh_time() -> None:
    stored: Stored = {}
    state = state_of(stored)
    assert state.range_unread(NOW - 9 * DAY, NOW - 8 * DAY)
    save(state, NOW)
    assert stored["unread"] == [[to_text(NOW - 9 * DAY), to_text(NOW - 8 * DAY), to_text(NOW)]]

    state = state_of(kept(stored), NOW + 71 * HOUR)
    assert state.ranges_to_read() == (NOW - 10 * MINUTE, [(NOW - 9 * DAY, NOW - 8 * DAY)])
    # A part of it was read; what was not is as old as the whole.
    assert state.range_unread(NOW - 9 * DAY, NOW - 9 * DAY + HOUR)
    state.range_retried(NOW - 9 * DAY, NOW - 8 * DAY)
    save(state)
    assert state._stored["unread"] == [[to_text(NOW - 9 * DAY), to_text(NOW - 9 * DAY + HOUR), to_text(NOW)]]

    state = state_of(kept(state._stored), NOW + 72 * HOUR)
    assert not state.range_unread(NOW - 9 * DAY, NOW - 9 * DAY + HOUR)
    state.range_retried(NOW - 9 * DAY, NOW - 9 * DAY + HOUR)
    save(state)
    assert state._stored["unread"] == []


def test_a_range_that_a_run_did_not_come_to_is_kept() -> None:
    stored: Stored = {"unread": [[to_text(NOW - 9 * DAY), to_text(NOW - 8 * DAY), to_text(NOW)]]}
    state = state_of(stored, NOW + HOUR)
    save(state, NOW)
    assert _unread(stored) == [(NOW - 9 * DAY, NOW - 8 * DAY)]


@pytest.mark.parametrize(
    ("bookmark", "unread", "expected"),
    [
        pytest.param(None, [(1, 2)], (None, []), id="everything is read anyway"),
        pytest.param(100, [(10, 20), (30, 40)], (100, [(10, 20), (30, 40)]), id="each by itself"),
        pytest.param(100, [(10, 20), (20, 40)], (100, [(10, 40)]), id="neighbours become one"),
        pytest.param(100, [(10, 50), (20, 40)], (100, [(10, 50)]), id="one within the other"),
        pytest.param(100, [(10, 20), (90, 100)], (90, [(10, 20)]), id="one that touches the start"),
        pytest.param(100, [(80, 90), (90, 300)], (80, []), id="some that reach past the start"),
        pytest.param(100, [(200, 300)], (100, []), id="one that lies behind the start"),
    ],
)
def test_ranges_to_read_are_in_order_and_do_not_overlap(
    bookmark: int | None, unread: list[tuple[int, int]], expected: tuple[int | None, list[tuple[int, int]]]
) -> None:
    def at(number: int) -> str:
        return to_text(NOW + number * SECOND)

    stored: Stored = {"unread": [[at(start), at(end), at(0)] for start, end in unread]}
    if bookmark is not None:
        stored["replication_key_value"] = to_text(NOW + bookmark * SECOND + 10 * MINUTE)
    start, ranges = state_of(stored, NOW + DAY).ranges_to_read()
    numbers = [((begin - NOW) // SECOND, (end - NOW) // SECOND) for begin, end in ranges]
    assert (None if start is None else (start - NOW) // SECOND, numbers) == expected


def test_ranges_are_bounded_and_past_the_bound_neighbours_become_one() -> None:
    stored: Stored = {}
    state = state_of(stored)
    ranges = [
        (NOW - DAY + number * MINUTE, NOW - DAY + number * MINUTE + SECOND) for number in range(MAX_UNREAD * 3 - 1)
    ]
    for start, end in ranges:
        state.range_unread(start, end)
    save(state, NOW)
    unread = _unread(stored)
    assert len(unread) <= MAX_UNREAD
    assert all(any(start <= one and other <= end for start, end in unread) for one, other in ranges)


def test_ranges_up_to_the_bound_are_kept_as_they_are() -> None:
    stored: Stored = {}
    state = state_of(stored)
    ranges = [(NOW - DAY + number * MINUTE, NOW - DAY + number * MINUTE + SECOND) for number in range(MAX_UNREAD)]
    for start, end in ranges:
        state.range_unread(start, end)
    save(state, NOW)
    assert _unread(stored) == ranges


# What orchestrators do to a state


def test_after_a_merge_with_an_older_state_what_was_done_with_waits_no_more() -> None:
    stored: Stored = {}
    state = state_of(stored)
    for number in range(100):
        emit(state, f"log {number}", NOW - HOUR, sent())
    state.range_unread(NOW - 9 * DAY, NOW - 8 * DAY)
    save(state, NOW - HOUR)
    old = kept(stored)

    later = state_of(stored, NOW + HOUR)
    for number in range(74):
        emit(later, f"log {number}", NOW - HOUR, sent("delivered"))
    emit(later, "log 80", NOW - HOUR, sent("initiated"))
    later.range_retried(NOW - 9 * DAY, NOW - 8 * DAY)
    save(later, NOW)

    state = state_of(merged(old, kept(stored)), NOW + 2 * HOUR)
    assert set(state.pending) == {f"log {number}" for number in range(74, 100)}
    assert state.is_unchanged("log 80", fingerprint(sent("initiated")))
    assert (state.bookmark, state.unread) == (NOW, {})
    assert state_of(stored, NOW + 2 * HOUR).pending == state.pending


def test_many_runs_of_which_each_is_merged_into_the_store_never_bring_a_log_back() -> None:
    store: Stored = {}
    for run in range(12):
        stored = kept(store)
        state = state_of(stored, NOW + run * HOUR)
        expected = {f"log {number}" for number in range(max(0, run - 3), run)}
        assert set(state.pending) == expected
        emit(state, f"log {run}", NOW + run * HOUR, sent())
        if run >= 3:
            emit(state, f"log {run - 3}", NOW + (run - 3) * HOUR, sent("delivered"))
        save(state, NOW + run * HOUR)
        store = merged(store, stored)


def test_a_state_that_was_cut_back_to_an_older_one_goes_on_from_there() -> None:
    stored: Stored = {}
    emit(state := state_of(stored), "a", NOW - HOUR, sent())
    save(state, NOW - HOUR)
    old = kept(stored)
    emit(state := state_of(stored, NOW + HOUR), "a", NOW - HOUR, sent("delivered"))
    save(state, NOW)
    again = state_of(old, NOW + 2 * HOUR)
    assert due(again) == [(NOW - HOUR, "a")]
    assert again.bookmark == NOW - HOUR
    emit(again, "a", NOW - HOUR, sent("delivered"))
    save(again, NOW + HOUR)
    assert state_of(kept(old), NOW + 3 * HOUR).pending == {}


def test_a_state_without_its_bookmark_still_knows_its_pending_logs() -> None:
    stored: Stored = {}
    emit(state := state_of(stored), "a", NOW - HOUR, sent())
    save(state, NOW - HOUR)
    del stored["replication_key_value"]
    assert list(state_of(kept(stored)).pending) == ["a"]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param([to_text(NOW - HOUR), "f", 0], PendingLog(NOW - HOUR, "f"), id="created_at, fingerprint, checks"),
        pytest.param(
            [to_text(NOW - HOUR), "f", 40, to_text(NOW - MINUTE)],
            PendingLog(NOW - HOUR, "f", 40, NOW - MINUTE),
            id="and the time of the last",
        ),
        pytest.param([to_text(NOW - HOUR), "f"], PendingLog(NOW - HOUR, "f"), id="no checks"),
        pytest.param(to_text(NOW - HOUR), PendingLog(NOW - HOUR, ""), id="created_at alone"),
    ],
)
def test_what_an_older_version_kept_is_read(entry: object, expected: PendingLog) -> None:
    stored: Stored = {
        "replication_key_value": to_text(NOW - HOUR),
        "waiting": {"a": entry},
        "recent": {"b": to_text(NOW)},
    }
    state = state_of(stored)
    assert state.pending == {"a": expected}
    assert state.emitted_before == {"b"}
    save(state, NOW)
    assert state_of(kept(stored), NOW + MINUTE).pending["a"].created == NOW - HOUR


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param({"replication_key_value": "gibberish"}, id="bookmark"),
        pytest.param({"replication_key_value": 5, "revision": "x"}, id="bookmark and revision"),
        pytest.param({"waiting": ["a"]}, id="waiting is a list"),
        pytest.param({"waiting": {"a": None, "b": [], "c": [5], "d": ["x", 1, 2]}}, id="waiting entries"),
        pytest.param(
            {"revision": 3, "waiting": {"a": [to_text(NOW), "f", 0, {}], "b": {"c": 1}}}, id="with a revision"
        ),
        pytest.param({"recent": {"a": {}}}, id="recent entries"),
        pytest.param({"recent": [1]}, id="recent is a list"),
        pytest.param({"unread": {"a": 1}}, id="unread is an object"),
        pytest.param(
            {"unread": [5, [], ["x", "y"], [to_text(NOW), to_text(NOW - 1)], [None] * 9]}, id="unread entries"
        ),
    ],
)
def test_state_that_cannot_be_read_costs_requests_and_no_crash(stored: Stored) -> None:
    state = state_of(stored)
    assert state.discover_from is None
    assert due(state) == []
    assert state.ranges_to_read() == (None, [])
    assert state.unread == {}
    save(state, NOW)
    assert stored["replication_key_value"] == to_text(NOW)


# The queue of logs to check


def test_a_pending_log_that_is_listed_is_handed_on_once() -> None:
    queue = RefreshQueue([(1, "a"), (2, "b"), (3, "c")])
    assert [log.log_id for log in queue.before((2, "b"))] == ["a"]
    assert queue.yields_to("b"), "the list has it: its entry is at hand"
    assert not queue.yields_to("a"), "it was handed on"
    assert queue.yields_to("new")
    assert [log.log_id for log in queue.before(None)] == ["c"]
    assert list(queue.before(None)) == []
