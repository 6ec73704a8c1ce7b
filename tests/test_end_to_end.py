"""The command against the simulated Space: what comes out, in which order, and what the next run does."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from signalwire.rest import RestClient

from tests.simulator import Simulator
from tests.support.run import Run, config_for, run_tap

if TYPE_CHECKING:
    from pathlib import Path

SEED_ANSWER = {
    "from": "+12077447397",
    "to": "+12029921413",
    "status": "failed",
    "direction": "inbound",
    "kind": "sms",
    "source": "laml",
    "type": "relay_message",
    "url": "https://example.signalwire.com/api/laml/2010-04-01/Accounts/c38dacad-2f6c-4de1-93d6-cc732e0c70c5/Messages/"
    "9ee38635-899a-490a-bfd1-9e72f5eea53c",
    "number_of_segments": 1,
    "charge": 0,
    "charge_details": [{"description": "Inbound SMS", "charge": Decimal("0.00415")}],
    "created_at": "2024-05-06T12:20:00Z",
    "error_message": "From number is not a SMS-capable phone number.",
    "error_code": "21601",
}
GONE = "9ee38635-899a-490a-bfd1-9e72f5eea53c"


def lines_without_time(run: Run) -> list[str]:
    """Every line of output, less what is the clock's."""
    lines = []
    for line in run.stdout.splitlines():
        message = json.loads(line, parse_float=Decimal)
        message.pop("time_extracted", None)
        for bookmark in message.get("value", {}).get("bookmarks", {}).values():
            bookmark.pop("digests", None)  # it tells the hour of the last sweep
        lines.append(json.dumps(message, default=str))
    return lines


def floats(value: Any) -> Any:
    """Decimals as the floats that the official client makes of them."""
    return json.loads(json.dumps(value, default=float))


def ids_of(sim: Simulator, number: int) -> list[str]:
    return sorted(sim.truth())[:number]


# What comes out


def test_the_tap_emits_what_the_official_client_returns_for_every_log(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim))
    assert run.code == 0
    client = RestClient(project=sim.project_id, token=sim.api_token, host=sim.space)
    listed = [log["id"] for log in client.logs.messages.paginate(page_size=100)]
    assert sorted(run.by_id) == sorted(listed)
    for log_id in listed:
        assert floats(run.by_id[log_id]) == client.logs.messages.get(log_id)


def test_every_log_comes_once_in_the_order_of_creation(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim))
    assert run.by_id == sim.truth()
    places = [(record["created_at"], record["id"]) for record in run.records]
    assert places == sorted(set(places))
    kinds = [message["type"] for message in run.messages]
    assert kinds.count("SCHEMA") == 1
    assert kinds[0] == "SCHEMA"
    assert kinds[-1] == "STATE"


def test_the_documentation_s_example_goes_through_unchanged(empty_sim: Simulator, tmp_path: Path) -> None:
    log_id = empty_sim.add(SEED_ANSWER)
    run = run_tap(tmp_path, config_for(empty_sim, message_log_ids=[log_id]))
    assert run.records == [{"id": log_id, **SEED_ANSWER}]
    assert '"charge":0.00415' in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("record_source", ["get", "list"])
def test_the_output_is_the_same_at_any_concurrency(record_source: str, tmp_path: Path) -> None:
    with Simulator(messages=2_000, seed=11, days=20) as sim:
        outputs = []
        for concurrency in (1, 7, 64):
            config = config_for(
                sim, concurrency=concurrency, record_source=record_source, end_date=sim.clock.isoformat()
            )
            outputs.append(lines_without_time(run_tap(tmp_path, config)))
        assert len(outputs[0]) > 1_900
        assert outputs[0] == outputs[1] == outputs[2]


def test_from_the_list_comes_the_same_as_from_the_gets(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim, record_source="list"))
    assert run.by_id == sim.truth()
    assert sim.gets() == []


@pytest.mark.slow
@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("bounds", ["inclusive", "exclusive"])
@pytest.mark.parametrize("granularity", ["timestamp", "day", "dates_only"])
def test_any_boundary_rule_gives_every_log_once(granularity: str, bounds: str, order: str, tmp_path: Path) -> None:
    with Simulator(messages=700, seed=5, days=12) as sim:
        sim.granularity, sim.bounds, sim.order = granularity, bounds, order
        config = config_for(sim, record_source="list", page_size=100)
        first = run_tap(tmp_path, config)
        sim.advance(hours=9)
        second = run_tap(tmp_path, config, state=first.state)
        for run in (first, second):
            assert run.code == 0, run.log
            assert len(run.records) == len(run.by_id)
        assert {**first.by_id, **second.by_id} == {**first.by_id, **sim.truth()}


# Configured logs


def test_configured_logs_come_in_their_order_each_once_and_nothing_else(sim: Simulator, tmp_path: Path) -> None:
    ids = ids_of(sim, 20)[::-1]
    (tmp_path / "ids.txt").write_text("\n".join(["# more", *ids[5:], ids[0].upper()]), encoding="utf-8")
    state = {"bookmarks": {"message_logs": {"replication_key_value": "2026-01-01T00:00:00Z"}}}
    run = run_tap(tmp_path, config_for(sim, message_log_ids=ids[:10], message_log_ids_file="ids.txt"), state=state)
    assert run.code == 0
    assert [record["id"] for record in run.records] == ids
    assert sim.lists() == []
    assert run.state == state


@pytest.mark.parametrize("on_missing", ["warn", "fail"])
def test_a_log_that_is_not_there_is_named_and_the_others_come(on_missing: str, sim: Simulator, tmp_path: Path) -> None:
    ids = ids_of(sim, 3)
    run = run_tap(tmp_path, config_for(sim, message_log_ids=[ids[0], GONE, *ids[1:]], on_missing=on_missing))
    assert [record["id"] for record in run.records] == ids
    assert run.code == (0 if on_missing == "warn" else 1)
    assert GONE in run.log
    assert "1 missing" in run.log
    assert "Traceback" not in run.log


# What a time range holds


def test_a_range_holds_its_start_and_not_its_end(empty_sim: Simulator, tmp_path: Path) -> None:
    start = empty_sim.clock - timedelta(days=3)
    ids = {
        name: empty_sim.add({"created_at": (start + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")})
        for name, seconds in {"before": -1, "start": 0, "last": 3599, "end": 3600}.items()
    }
    config = config_for(empty_sim, start_date=start.isoformat(), end_date=(start + timedelta(hours=1)).isoformat())
    assert set(run_tap(tmp_path, config).by_id) == {ids["start"], ids["last"]}


def test_a_start_date_before_the_kept_history_is_said_with_the_date_and_the_rest_comes(tmp_path: Path) -> None:
    with Simulator(messages=400, seed=7, days=40) as sim:
        sim.history_limit = (sim.clock - timedelta(days=20)).date()
        run = run_tap(tmp_path, config_for(sim, start_date="2020-01-01"))
        assert run.code == 0, run.log
        assert run.by_id == sim.truth()
        assert sim.history_limit.isoformat() in run.log


def test_ten_quiet_years_cost_few_requests(tmp_path: Path) -> None:
    with Simulator(messages=0, seed=7, days=30) as sim:
        old = sim.add({"created_at": "2016-02-03T04:05:06Z"})
        new = sim.add({})
        run = run_tap(tmp_path, config_for(sim, start_date="2016-01-01"))
        assert set(run.by_id) == {old, new}
        assert len(sim.lists()) < 100


def test_deleted_logs_come_only_where_they_are_asked_for(sim: Simulator, tmp_path: Path) -> None:
    deleted = ids_of(sim, 2)
    for log_id in deleted:
        sim.delete(log_id)
    assert not set(deleted) & set(run_tap(tmp_path, config_for(sim)).by_id)
    run = run_tap(tmp_path, config_for(sim, include_deleted=True))
    assert run.code == 0
    for log_id in deleted:
        assert set(run.by_id[log_id]) == {"id", "created_at", "discarded_at"}


# The next run


def test_the_second_run_fetches_what_is_new_or_was_not_final_and_nothing_else(tmp_path: Path) -> None:
    with Simulator(messages=3_000, seed=9, days=10) as sim:
        first = run_tap(tmp_path, config_for(sim))
        before = sim.truth(include_deleted=True)
        waiting = set(first.bookmark["waiting"])
        sim.advance(hours=8)
        sim.clear_requests()
        second = run_tap(tmp_path, config_for(sim), state=first.state)
        after = sim.truth()
        new = set(after) - set(before)
        assert waiting
        assert new
        assert {request.path.rpartition("/")[2] for request in sim.gets()} == new | waiting
        target = {**first.by_id, **second.by_id}
        assert {log_id: target[log_id] for log_id in after} == after
        for log_id in set(second.by_id) - new:
            assert second.by_id[log_id] != first.by_id[log_id], "emitted again only because it changed"


def test_a_second_run_with_nothing_new_costs_fewer_than_five_requests(tmp_path: Path) -> None:
    with Simulator(messages=2_500, seed=9, days=10) as sim:
        config = config_for(sim, refresh_hours=0)
        first = run_tap(tmp_path, config)
        sim.clear_requests()
        second = run_tap(tmp_path, config, state=first.state)
        assert second.records == []
        assert second.state == first.state
        assert len(sim.requests) < 5


def test_a_log_that_the_service_shows_late_is_found_within_the_lookback(sim: Simulator, tmp_path: Path) -> None:
    first = run_tap(tmp_path, config_for(sim))
    newest = max(record["created_at"] for record in first.records)
    created = datetime.fromisoformat(newest.replace("Z", "+00:00")) - timedelta(minutes=5)
    late = sim.add({"created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ")})
    missed = run_tap(tmp_path, config_for(sim, lookback_minutes=0), state=first.state)
    assert late not in missed.by_id
    found = run_tap(tmp_path, config_for(sim, lookback_minutes=10), state=first.state)
    assert late in found.by_id


def test_refresh_hours_bound_how_long_a_log_is_fetched_again(empty_sim: Simulator, tmp_path: Path) -> None:
    now = datetime.now(timezone.utc)
    old, young = (
        empty_sim.add({"status": "sent", "created_at": (now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")})
        for hours in (50, 40)
    )
    run = run_tap(tmp_path, config_for(empty_sim, refresh_hours=45))
    assert set(run.by_id) == {old, young}
    assert set(run.bookmark["waiting"]) == {young}


def test_a_waiting_log_is_gone_once_the_service_said_so_in_two_runs(sim: Simulator, tmp_path: Path) -> None:
    log_id = sim.add({"status": "queued", "direction": "outbound-api"})
    first = run_tap(tmp_path, config_for(sim))
    assert log_id in first.bookmark["waiting"]
    sim.delete(log_id)
    second = run_tap(tmp_path, config_for(sim), state=first.state)
    assert second.code == 0
    assert "0 missing" in second.log
    assert log_id in second.bookmark["waiting"]
    third = run_tap(tmp_path, config_for(sim), state=second.state)
    assert third.code == 0
    assert "1 missing" in third.log
    assert log_id not in third.bookmark["waiting"]


@pytest.mark.slow
def test_runs_stopped_after_any_line_leave_nothing_out(tmp_path: Path) -> None:
    """A target that dies anywhere has kept some of the lines; the next run begins at the last STATE among them."""
    with Simulator(messages=1_200, seed=13, days=9) as sim:
        config = config_for(sim, record_source="list", page_size=50, end_date=sim.clock.isoformat())
        whole = run_tap(tmp_path, config)
        lines = whole.stdout.splitlines()
        for cut in range(5, len(lines), 199):
            kept = Run(0, "\n".join(lines[:cut]), "")
            rest = run_tap(tmp_path, config, state=kept.states[-1] if kept.states else {})
            assert {**kept.by_id, **rest.by_id} == sim.truth()


# The settings that shape requests


def test_requests_carry_the_user_agent_and_no_more_than_the_page_size(sim: Simulator, tmp_path: Path) -> None:
    run_tap(tmp_path, config_for(sim, user_agent="our-company/2", page_size=77))
    assert {request.query.get("page_size") for request in sim.lists()} == {"77"}
    for request in sim.requests:
        headers = {name.lower(): value for name, value in dict(request.headers).items()}
        assert headers["user-agent"] == "our-company/2"


def test_the_default_user_agent_names_the_tap_and_its_version(sim: Simulator, tmp_path: Path) -> None:
    run_tap(tmp_path, config_for(sim, message_log_ids=ids_of(sim, 1)))
    headers = {name.lower(): value for name, value in dict(sim.requests[0].headers).items()}
    assert headers["user-agent"].startswith("tap-signalwire-logs/0")


@pytest.mark.slow
def test_no_more_requests_are_in_flight_than_concurrency_allows(sim: Simulator, tmp_path: Path) -> None:
    sim.latency = 0.02
    for concurrency in (1, 5):
        sim.clear_requests()
        sim.max_in_flight = 0
        run_tap(tmp_path, config_for(sim, concurrency=concurrency))
        assert 0 < sim.max_in_flight <= concurrency
    assert sim.max_in_flight == 5


@pytest.mark.slow
def test_windows_that_are_too_full_are_split_and_the_bookmark_moves_between(tmp_path: Path) -> None:
    with Simulator(messages=60_000, seed=3, days=30) as sim:
        run = run_tap(tmp_path, config_for(sim, record_source="list"))
        assert run.code == 0, run.log
        assert len(run.records) == len(run.by_id) == len(sim.truth())
        bookmarks = [state["bookmarks"]["message_logs"].get("replication_key_value") for state in run.states]
        known = [bookmark for bookmark in bookmarks if bookmark]
        assert len(set(known)) > 5
        assert known == sorted(known)
        state_bytes = sum(len(line) for line in run.stdout.splitlines() if '"type":"STATE"' in line)
        assert state_bytes < len(run.stdout) / 100


def test_a_burst_of_logs_in_one_second_needs_no_narrower_window(tmp_path: Path) -> None:
    with Simulator(messages=0, seed=3, days=30) as sim:
        created = (sim.clock - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        ids = {sim.add({"created_at": created}) for _ in range(1_500)}
        run = run_tap(tmp_path, config_for(sim, record_source="list", page_size=100))
        assert set(run.by_id) == ids
        assert [record["id"] for record in run.records] == sorted(ids)


def test_the_tap_s_schema_and_records_agree(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim))
    schema = next(message for message in run.messages if message["type"] == "SCHEMA")
    known = set(schema["schema"]["properties"])
    assert set(itertools.chain.from_iterable(run.records)) <= known
    assert schema["key_properties"] == ["id"]


def test_state_messages_grow_rarer_as_a_run_goes_on(tmp_path: Path) -> None:
    with Simulator(messages=20_000, seed=7, days=30, log_requests=False) as sim:
        run = run_tap(tmp_path, config_for(sim, record_source="list"))
    kinds = "".join({"RECORD": "r", "STATE": "s"}.get(message["type"], "") for message in run.messages)
    gaps = [len(gap) for gap in kinds.split("s")[:-1]]
    assert sum(gaps) == len(run.records)
    assert gaps[0] < 1_000
    assert len(gaps) < 30
    assert max(gaps) < 4_096
