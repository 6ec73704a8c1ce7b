"""The sweep: what the bookmark has passed and has changed since reaches the target; what has not costs little."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from copy import deepcopy
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_signalwire_logs.digests import Digests
from tap_signalwire_logs.instants import SECOND
from tests.simulator import Simulator
from tests.support.run import COMMAND, Cut, Run, config_for, environment, run_tap, write_json
from tests.support.subject import SUBJECTS, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Attack = Callable[..., None]

HOUR = 3_600 * SECOND
KILLS = 25
SOURCES = pytest.mark.parametrize("record_source", ["get", "list"])


@pytest.fixture
def space() -> Iterator[Simulator]:
    """A Space of 600 messages over 5 days, of which none changes by itself any more after a run or two."""
    with Simulator(messages=600, seed=7, days=5) as simulator:
        yield simulator


def later(state: dict[str, Any], hours: int = 25) -> dict[str, Any]:
    """A state whose last sweeps were so many hours earlier than they were."""
    aged = deepcopy(state)
    for bookmark in aged["bookmarks"].values():
        if "digests" in bookmark:
            digests = Digests.load(bookmark["digests"])
            if digests.swept is not None:
                digests.swept -= hours * HOUR
            bookmark["digests"] = digests.dump()
    return aged


def text_of(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def synced(folder: Path, sim: Simulator, **settings: Any) -> Run:
    """The first run; what waits is nobody's business here."""
    run = run_tap(folder, config_for(sim, refresh_hours=0, **settings))
    assert run.code == 0, run.log
    return run


def again(folder: Path, sim: Simulator, run: Run, *, hours: int = 25, **settings: Any) -> Run:
    """A later run, in which a sweep is due unless the hours say otherwise."""
    after = run_tap(folder, config_for(sim, refresh_hours=0, **settings), state=later(run.state, hours))
    assert after.code == 0, after.log
    return after


@SOURCES
def test_a_sweep_that_finds_nothing_emits_nothing_and_costs_a_request_for_each_page(
    record_source: str, space: Simulator, tmp_path: Path
) -> None:
    first = synced(tmp_path, space, record_source=record_source)
    state = first.state
    for _ in range(10):
        space.clear_requests()
        run = run_tap(tmp_path, config_for(space, refresh_hours=0, record_source=record_source), state=later(state))
        assert run.code == 0, run.log
        assert run.records == []
        assert "swept 7 days: 0 buckets differed, 0 records again" in run.log
        assert len(space.requests) < 5
        state = run.state


def test_no_sweep_before_its_time_and_none_where_it_is_turned_off(space: Simulator, tmp_path: Path) -> None:
    first = synced(tmp_path, space)
    space.clear_requests()
    soon = again(tmp_path, space, first, hours=23)
    assert "swept" not in soon.log
    assert len(space.lists()) == 1
    off = again(tmp_path, space, first, sweep_days=0)
    assert "swept" not in off.log
    assert "digests" not in off.bookmark
    every_hour = again(tmp_path, space, first, hours=2, sweep_every_hours=1)
    assert "swept 7 days" in every_hour.log


@SOURCES
def test_a_charge_that_was_corrected_comes_one_sweep_later(
    record_source: str, space: Simulator, tmp_path: Path
) -> None:
    log_id = space.add(
        {
            "status": "delivered",
            "direction": "outbound-api",
            "charge": 0.00415,
            "created_at": text_of(space.clock - timedelta(days=2)),
        }
    )
    first = synced(tmp_path, space, record_source=record_source)
    space.change(log_id, charge=0.0083)
    missed = again(tmp_path, space, first, record_source=record_source, sweep_days=0)
    assert log_id not in missed.by_id
    run = again(tmp_path, space, first, record_source=record_source)
    assert "swept 7 days: 1 buckets differed" in run.log
    assert {**first.by_id, **run.by_id} == space.truth()
    assert len(run.records) == len(run.by_id) < 300
    idle = again(tmp_path, space, run, record_source=record_source)
    assert idle.records == []


@pytest.mark.parametrize("hours", [1, 20, 100], ids=lambda hours: f"{hours} hours late")
def test_a_log_that_is_shown_late_comes_one_sweep_later(hours: int, space: Simulator, tmp_path: Path) -> None:
    first = synced(tmp_path, space)
    late = space.add(
        {"status": "received", "direction": "inbound", "created_at": text_of(space.clock - timedelta(hours=hours))}
    )
    run = again(tmp_path, space, first)
    assert late in run.by_id
    assert {**first.by_id, **run.by_id} == space.truth()
    assert again(tmp_path, space, run).records == []


@pytest.mark.parametrize("include_deleted", [True, False], ids=["with the deleted", "without"])
def test_a_log_that_was_deleted_comes_as_deleted_or_is_counted(
    include_deleted: bool, space: Simulator, tmp_path: Path
) -> None:
    first = synced(tmp_path, space, include_deleted=include_deleted)
    truth = space.truth()
    gone = sorted(truth, key=lambda log_id: truth[log_id]["created_at"])[300]
    space.delete(gone)
    run = again(tmp_path, space, first, include_deleted=include_deleted)
    if include_deleted:
        assert run.by_id[gone]["discarded_at"]
    else:
        assert "1 logs no longer listed" in run.log
        assert gone not in run.by_id
    assert again(tmp_path, space, run, include_deleted=include_deleted).records == []


def test_a_sweep_that_was_stopped_goes_on_where_it_was(space: Simulator, tmp_path: Path) -> None:
    fields = {"status": "received", "direction": "inbound"}
    changed = [
        space.add({**fields, "created_at": text_of(space.clock - timedelta(hours=hours))})
        for hours in range(100, 4, -8)
    ]
    first = synced(tmp_path, space)
    for log_id in changed:
        space.change(log_id, error_message="changed since")
    fault = space.fault("status", path=changed[-1], status=401, times=None, body=b'{"error":"Unauthorized"}')
    config = config_for(space, refresh_hours=0)
    broken = run_tap(tmp_path, config, state=later(first.state))
    assert broken.code == 1
    fault.times = 0
    rest = run_tap(tmp_path, config, state=broken.state)
    assert rest.code == 0, rest.log
    assert {**first.by_id, **broken.by_id, **rest.by_id} == space.truth()
    assert len(rest.by_id) < 600
    assert again(tmp_path, space, rest).records == []


@pytest.mark.slow
@SOURCES
def test_kills_in_the_middle_of_sweeps_lose_nothing(record_source: str, tmp_path: Path, attack: Attack) -> None:
    chance = random.Random(11)
    with Simulator(messages=4_000, seed=3, days=5) as sim:
        # Small pages, so that a sweep has many requests to be killed between.
        config = config_for(sim, refresh_hours=0, record_source=record_source, page_size=100, concurrency=4)
        fields = {"status": "received", "direction": "inbound"}
        hours = (chance.uniform(2, 100) for _ in range(300))
        ours = [sim.add({**fields, "created_at": text_of(sim.clock - timedelta(hours=hour))}) for hour in hours]
        first = run_tap(tmp_path, config)
        target, state = first.by_id, first.state
        sim.latency = 0.004
        kills, is_done = 0, True
        while kills < KILLS:
            if is_done:
                state = later(state)
                for log_id in chance.sample(ours, 60):
                    sim.change(log_id, error_message=f"changed after {kills} kills")
            sim.clear_requests()
            run = _killed_after(tmp_path, config, state, sim, chance.randrange(1, 60))
            is_done = run.code == 0
            kills += run.code == -signal.SIGKILL
            target |= run.by_id
            state = run.state if run.states else state
        rest = run_tap(tmp_path, config, state=state)
        assert rest.code == 0, rest.log
        target |= rest.by_id
        idle = run_tap(tmp_path, config, state=later(rest.state))
        attack(
            f"SIGKILL in the middle of sweeps, {record_source}",
            kills,
            "resumed",
            lost=sum(target.get(log_id) != record for log_id, record in sim.truth().items()),
            doubled=len(idle.records),
            leaked=0,
        )


def _killed_after(folder: Path, config: dict[str, Any], state: dict[str, Any], sim: Simulator, requests: int) -> Cut:
    """Run from a state, and kill it once the Space has had so many requests, if it still runs."""
    command = [*COMMAND, "--config", write_json(folder / "config.json", config)]
    command += ["--state", write_json(folder / "state.json", state)]
    with (folder / "stdout").open("w+", encoding="utf-8") as stdout:
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, env=environment())
        while len(sim.requests) < requests and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        code = process.wait(timeout=60)
        stdout.seek(0)
        return Cut(code, stdout.read(), "")


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.stream)
def test_every_family_is_swept(subject: Subject, tmp_path: Path) -> None:
    with subject.space(80) as sim:
        first = subject.run(tmp_path, sim, refresh_hours=0)
        idle = subject.run(tmp_path, sim, state=later(first.state), refresh_hours=0)
        assert "swept 7 days: 0 buckets differed, 0 records again" in idle.log
        assert idle.records == []
        late = {"created_at": text_of(sim.clock - timedelta(days=2)), "status": "completed"}
        log_id = sim.add(late, family=subject.family)
        run = subject.run(tmp_path, sim, state=later(idle.state), refresh_hours=0)
        assert run.code == 0, run.log
        assert "swept 7 days: 1 buckets differed" in run.log
        assert subject.found(first, run) == subject.truth(sim)
        assert log_id in run.stdout or subject.stream == "voice_log_events"


def test_a_state_of_an_older_version_does_not_bring_everything_again(space: Simulator, tmp_path: Path) -> None:
    first = synced(tmp_path, space)
    old = deepcopy(first.state)
    del old["bookmarks"]["message_logs"]["digests"]
    run = run_tap(tmp_path, config_for(space, refresh_hours=0), state=old)
    assert run.records == []
    assert "digests" in run.bookmark


@pytest.mark.slow
@pytest.mark.parametrize("sweep_days", [7, 0], ids=["with the sweep", "without"])
def test_after_thirty_days_the_target_equals_the_space_one_sweep_later_and_only_with_the_sweep(
    sweep_days: int, tmp_path: Path
) -> None:
    chance = random.Random(5)
    with Simulator(messages=150, seed=9, days=3) as sim:
        target: dict[str, dict[str, Any]] = {}
        state: dict[str, Any] | None = None
        ours: list[str] = []
        day, sizes = 0.0, []
        while day < 31:
            hours = chance.choice([0.3, 1, 5, 9, 26])
            sim.advance(hours=hours)
            day += hours / 24
            if day < 29:
                _let_something_happen(sim, ours, chance)
            config = config_for(sim, sweep_days=sweep_days, include_deleted=True, record_source="list")
            run = run_tap(tmp_path, config, state=state, clock=sim.clock)
            assert run.code == 0, run.log
            target.update(run.by_id)
            state = run.state
            sizes.append(len(json.dumps(state)))
        truth = sim.truth()
        wrong = [log_id for log_id, record in truth.items() if target.get(log_id) != record]
        still_there = [log_id for log_id in target.keys() - truth.keys() if not target[log_id].get("discarded_at")]
        if sweep_days:
            assert (wrong, still_there) == ([], [])
        else:
            assert wrong
        assert max(sizes) < 200_000


def _let_something_happen(sim: Simulator, ours: list[str], chance: random.Random) -> None:
    """New logs, some shown days late; a charge corrected, a receipt of reading, a deletion of older ones."""
    for _ in range(chance.randrange(4)):
        created = sim.clock - timedelta(hours=chance.uniform(0, 100))
        fields = {"direction": "outbound-api", "status": "delivered", "charge": 0.00415, "created_at": text_of(created)}
        ours.append(sim.add({**fields, "kind": chance.choice(["sms", "mms"])}, visible_at=sim.clock))
    if ours and chance.random() < 0.5:
        sim.change(chance.choice(ours[-12:]), charge=round(chance.uniform(0.001, 0.02), 5))
    if len(ours) > 5 and chance.random() < 0.2:
        sim.delete(ours.pop(-chance.randrange(1, 6)))
