"""The truth under attack: runs are killed, the Space lies and changes, and still the target equals it.

Each test records a row of the table that closes the test output: what was tried, and what was lost, doubled or leaked.
"""

from __future__ import annotations

import json
import random
import signal
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.simulator import Simulator
from tests.support.run import Run, config_for, run_tap, run_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Attack = Callable[..., None]
    Target = dict[str, dict[str, Any]]

pytestmark = pytest.mark.slow

DONE = 0


@pytest.mark.parametrize(("record_source", "seed"), [*(("list", seed) for seed in range(6)), ("get", 6), ("get", 7)])
def test_a_hundred_kills_lose_no_log(record_source: str, seed: int, tmp_path: Path, attack: Attack) -> None:
    """Eight times thirteen kills and more over runs of 25,000 logs, each resumed from the last whole STATE."""
    chance = random.Random(seed)
    with Simulator(messages=25_000, seed=seed, days=30, log_requests=False) as sim:
        config = config_for(sim, record_source=record_source, end_date=sim.clock.isoformat())
        truth = sim.truth()
        target: Target = {}
        state: dict[str, Any] = {}
        kills = 0
        code = None
        while code != DONE:
            # Most kills come early in a run; each fifth run goes far enough to close a window.
            characters = chance.randrange(6_000_000) if kills % 5 == 4 else chance.randrange(400_000)
            how = signal.SIGKILL if kills < 13 else signal.SIGCONT
            run = run_until(tmp_path, config, state=state, characters=characters, how=how)
            code = run.code
            kills += how is signal.SIGKILL
            target |= run.by_id
            state = run.state if run.states else state
            assert all(known["bookmarks"] is not None for known in run.states)
        bookmark = state["bookmarks"]["message_logs"]["replication_key_value"]
        assert bookmark == max(record["created_at"] for record in truth.values())
        attack(
            f"SIGKILL anywhere, {record_source}, seed {seed}",
            kills,
            "resumed",
            lost=len(truth.keys() - target.keys()),
            doubled=len(target.keys() - truth.keys()),
            leaked=0,
        )
        assert kills >= 13


@pytest.mark.parametrize("seed", range(3))
def test_days_of_runs_and_faults_end_with_the_target_equal_to_the_space(
    seed: int, tmp_path: Path, attack: Attack
) -> None:
    chance = random.Random(seed)
    clock = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=66)
    faults: list[tuple[str, dict[str, Any]]] = [
        ("status", {"status": 500}),
        ("status", {"status": 429, "headers": {"Retry-After": "0"}}),
        ("truncated_json", {}),
        ("reset", {}),
        ("empty", {}),
    ]
    with Simulator(messages=800, seed=seed, days=2, clock=clock) as sim:
        target: Target = {}
        state: dict[str, Any] = {}
        tried = 0
        for turn in range(14):
            sim.faults.clear()
            kind, details = chance.choice(faults)
            config = config_for(sim, page_size=chance.choice([50, 1_000]), backoff_max_tries=3)
            if turn % 3 == 1:
                sim.fault(kind, path=r"/logs", times=5, after=chance.randrange(5), **details)
            if turn % 5 == 2:
                sim.fault(kind, path=r"/logs/", times=None, after=20, **details)
            if turn % 4 == 3:
                run: Run = run_until(
                    tmp_path, config, state=state, characters=chance.randrange(60_000), how=signal.SIGKILL
                )
            else:
                run = run_tap(tmp_path, config, state=state)
                assert "Traceback" not in run.log
            tried += 1
            target |= run.by_id
            state = run.state if run.states else state
            sim.advance(hours=chance.choice([0.1, 1, 3, 9]) if (sim.clock - clock).days < 2 else 0.5)
            if turn < 10:
                sim.delete(chance.choice(list(sim.truth())))
        sim.faults.clear()
        last = run_tap(tmp_path, config_for(sim), state=state)
        assert last.code == 0
        target |= last.by_id
        truth = sim.truth()
        wrong = [log_id for log_id in truth if target.get(log_id) != truth[log_id]]
        attack(
            f"days of change, faults and kills, seed {seed}",
            tried,
            "equal, field for field",
            lost=len(wrong),
            doubled=len(last.records) - len(last.by_id),
            leaked=0,
        )


def test_two_hundred_thousand_waiting_logs_stay_within_the_state_and_none_is_forgotten(
    tmp_path: Path, attack: Attack
) -> None:
    with Simulator(messages=200_000, seed=3, days=1.5, stuck=True, log_requests=False) as sim:
        config = config_for(sim, record_source="list")
        first = run_tap(tmp_path, config)
        largest = max(len(line) for line in first.stdout.splitlines() if '"type":"STATE"' in line)
        assert largest < 1_000_000
        visible = sim.truth(include_deleted=False)
        assert set(first.by_id) == set(visible)
        # Now all of them change at once.
        sim.population.stuck = False
        second = run_tap(tmp_path, config, state=first.state)
        target = {**first.by_id, **second.by_id}
        truth = sim.truth()
        wrong = [log_id for log_id in truth if target.get(log_id) != truth[log_id]]
        attack(
            "200,000 logs waiting at once",
            2,
            f"STATE at most {largest:,} bytes",
            lost=len(wrong),
            doubled=len(second.records) - len(second.by_id),
            leaked=0,
        )


def _mutated(chance: random.Random, value: Any) -> Any:
    """The value with something in it replaced, dropped, doubled or cut."""
    strange: list[Any] = [
        None,
        True,
        0,
        -1,
        10**30,
        Decimal("1e400"),
        "",
        "\0",
        "\ud83d",
        "x" * 5_000,
        [],
        {},
        [[]],
        {"a": {}},
    ]
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(list(value))
        what = chance.random()
        if what < 0.2:
            return {key: inner for key, inner in value.items() if key != name}
        if what < 0.3:
            return {**value, "new": chance.choice(strange)}
        return {**value, name: _mutated(chance, value[name])}
    if isinstance(value, list) and value and chance.random() < 0.85:
        place = chance.randrange(len(value))
        if chance.random() < 0.2:
            return value + value[place:]
        return [*value[:place], _mutated(chance, value[place]), *value[place + 1 :]]
    return chance.choice(strange)


def _hidden(page: Any, raw: bytes) -> set[str]:
    """IDs of a page that its mutated bytes lack though they are still a page like any other: the sweep's to find."""
    try:
        shown = {str(UUID(entry["id"])) for entry in json.loads(raw)["data"]}
    except (ValueError, TypeError, KeyError, AttributeError):
        return set()
    return {entry["id"] for entry in page["data"]} - shown if isinstance(page.get("data"), list) else set()


@pytest.mark.parametrize("seed", range(6))
def test_bodies_of_any_shape_end_in_right_records_or_an_error_of_the_tap_s_own(
    seed: int, tmp_path: Path, attack: Attack
) -> None:
    chance = random.Random(seed)
    doubled = leaked = lost = 0
    rounds = 12
    hidden: set[str] = set()

    def mutate(body: Any) -> Any:
        if chance.random() < 0.15:
            raw = json.dumps(body, default=str, ensure_ascii=True).encode()
            place = chance.randrange(len(raw))
            raw = raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
        else:
            raw = json.dumps(_mutated(chance, body), default=float).encode()
        hidden.update(_hidden(body, raw))
        return raw

    outcomes = {0: 0, 1: 0}
    for turn in range(rounds):
        with Simulator(messages=30, seed=turn, days=2) as sim:
            path = chance.choice([r"/logs\?", r"/logs/", r"."])
            sim.fault("rewrite", path=path, times=None if turn % 2 else 3, rewrite=mutate)
            config = config_for(sim, backoff_max_tries=2, record_source=chance.choice(["get", "list"]))
            run = run_tap(tmp_path, config)
            assert run.code in outcomes
            assert "Traceback" not in run.log, run.log
            outcomes[run.code] += 1
            doubled += len(run.records) - len(run.by_id)
            leaked += sim.api_token in run.log + run.stdout
            # What follows when the Space is itself again: everything is there.
            sim.faults.clear()
            after = run_tap(tmp_path, config, state=run.state if run.states and run.code else {})
            lost += len(sim.truth().keys() - run.by_id.keys() - after.by_id.keys() - hidden)
    attack(
        f"mutated bodies, seed {seed}",
        rounds,
        f"{outcomes[0]} done, {outcomes[1]} failed with a message",
        lost=lost,
        doubled=doubled,
        leaked=leaked,
    )
