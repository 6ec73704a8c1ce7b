"""A set checker in Jepsen's way: what the service has acknowledged, minus what the target holds, is empty.

The pipe is the real one: the tap into target-duckdb, whose last STATE begins the next run. Tap and target are killed
again and again, alone and together, while logs arrive and change.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.simulator import Simulator
from tests.support import warm
from tests.support.environments import BELOW_3_14, TARGET_DUCKDB, environment_of
from tests.support.run import COMMAND, config_for, environment, write_json

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

KILLS = 12
ADDED_PER_ROUND = 40


@pytest.fixture(scope="module")
def target_duckdb() -> Path:
    return environment_of(*TARGET_DUCKDB, python=BELOW_3_14) / "target-duckdb"


class Pipe:
    """`tap | target`, with the last STATE of the target as the next run's."""

    def __init__(self, target: Path, folder: Path) -> None:
        self.target = target
        self.folder = folder
        self.state: dict[str, Any] = {}
        self.database = folder / "warehouse.duckdb"
        self.target_config = write_json(
            folder / "target.json",
            {
                "path": str(self.database),
                "default_target_schema": "signalwire",
                # Small, so that a kill comes between two of them.
                "batch_size_rows": 150,
                "add_metadata_columns": False,
                "data_flattening_max_level": 0,
            },
        )

    def run(self, sim: Simulator, killed: tuple[str, ...] = (), after_requests: int = 0, after_rows: int = 0) -> int:
        """Run once, and kill what is named once so much has happened; gives the tap's exit code."""
        config = config_for(sim, page_size=25, concurrency=2)
        command = [*COMMAND, "--config", write_json(self.folder / "config.json", config)]
        command += ["--state", write_json(self.folder / "state.json", self.state)]
        states = self.folder / "states.jsonl"
        sim.clear_requests()
        with states.open("wb") as kept, (self.folder / "target.log").open("wb") as log:
            tap = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment())
            target = subprocess.Popen(
                [self.target, "--config", self.target_config],
                stdin=tap.stdout,
                stdout=kept,
                stderr=log,
                env=environment(**{warm.VARIABLE: ""}),  # it is killed
                cwd=self.folder,
            )
            assert tap.stdout
            tap.stdout.close()
            if killed:
                self._wait(
                    tap, target, lambda: sim.request_count >= after_requests and states.stat().st_size >= after_rows
                )
                for name in killed:
                    {"tap": tap, "target": target}[name].send_signal(signal.SIGKILL)
            code = tap.wait(timeout=120)
            loaded = target.wait(timeout=120)
        if not killed:
            assert (code, loaded) == (0, 0), (self.folder / "target.log").read_text(encoding="utf-8")[-2_000:]
        whole = [line for line in states.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
        if whole:
            self.state = json.loads(whole[-1])
        return code

    def held(self) -> dict[str, tuple[str, str]]:
        """Status and creation of each log in the table, by ID; none is there twice."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            rows = connection.execute("select id, status, charge from signalwire.message_logs").fetchall()
        assert len({row[0] for row in rows}) == len(rows)
        return {row[0]: (row[1], str(row[2])) for row in rows}

    @staticmethod
    def _wait(tap: subprocess.Popen[bytes], target: subprocess.Popen[bytes], happened: Any) -> None:
        while not happened() and tap.poll() is None and target.poll() is None:
            time.sleep(0.002)


@pytest.mark.parametrize("seed", range(2))
def test_what_was_acknowledged_minus_what_the_target_holds_is_empty(
    seed: int, target_duckdb: Path, tmp_path: Path, attack: Any
) -> None:
    chance = random.Random(seed)
    pipe = Pipe(target_duckdb, tmp_path)
    with Simulator(messages=1_500, seed=seed, days=3) as sim:
        sim.latency = 0.003
        acknowledged = set(sim.truth())
        ended = 0
        for turn in range(KILLS):
            killed = [("tap",), ("target",), ("tap", "target"), ("target", "tap")][turn % 4]
            # Some right after the start, some once the target has acknowledged a batch with a STATE.
            after_rows = 1 if turn % 3 == 2 else 0
            code = pipe.run(sim, killed, after_requests=chance.randrange(1, 500), after_rows=after_rows)
            ended += code != 0
            acknowledged |= {
                sim.add({"status": chance.choice(["sent", "delivered"]), "direction": "outbound-api"})
                for _ in range(ADDED_PER_ROUND)
            }
            sim.advance(minutes=chance.choice([1, 20, 90]))
            acknowledged |= set(sim.truth())
        assert ended >= KILLS / 2, "most kills met a run that was not over"
        for _ in range(2):
            assert pipe.run(sim) == 0
        truth = sim.truth()
        held = pipe.held()
        unexpected = held.keys() - acknowledged
        lost = (acknowledged & truth.keys()) - held.keys()
        stale = {log_id for log_id in truth.keys() & held.keys() if held[log_id][0] != truth[log_id]["status"]}
        attack(
            f"SIGKILL of tap and target, seed {seed}",
            KILLS,
            f"{len(acknowledged):,} acknowledged, {len(held):,} held",
            lost=len(lost) + len(stale),
            doubled=len(unexpected),
            leaked=0,
        )
