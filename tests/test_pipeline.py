"""The pipeline that people run: this checkout's `meltano.yml`, real loaders, the rows against the Space's truth."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.simulator import Simulator
from tests.support.pipeline import Pipeline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline.shared(tmp_path_factory.mktemp("project"), "target-duckdb", "target-jsonl")


@pytest.fixture
def pipeline(installed: Pipeline) -> Pipeline:
    """With no state, and nothing landed yet."""
    installed.forget()
    return installed


def test_twenty_thousand_messages_land_in_duckdb_and_stay_true_as_they_change(pipeline: Pipeline) -> None:
    with Simulator(messages=20_000, seed=21, days=30) as sim:
        first = pipeline.run(sim, "target-duckdb")
        assert pipeline.landed() == sim.truth()
        before = sim.truth(include_deleted=True)
        sim.advance(hours=10)
        sim.clear_requests()
        second = pipeline.run(sim, "target-duckdb")
        after = sim.truth()
        rows = pipeline.landed()
        assert {log_id: rows[log_id] for log_id in after} == after
        assert set(rows) - set(after) <= set(before), "only logs deleted since stay behind"
        fetched = {request.path.rpartition("/")[2] for request in sim.gets()}
        assert set(after) - set(before) <= fetched
        assert len(fetched) < 2_000
        assert not fetched & {log_id for log_id in before if _is_final(before[log_id])}
        for log in (first, second):
            assert sim.api_token not in log


def test_json_lines_hold_every_log_with_the_digits_that_were_sent(pipeline: Pipeline) -> None:
    with Simulator(messages=500, seed=4, days=10) as sim:
        pipeline.run(sim, "target-jsonl")
        file = pipeline.folder / "output" / "message_logs.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line, parse_float=Decimal) for line in lines]
        assert {row["id"]: row for row in rows} == sim.truth()


def test_the_connection_test_works_through_meltano(pipeline: Pipeline) -> None:
    with Simulator(messages=50, seed=4, days=10) as sim:
        log = pipeline.meltano(
            "invoke",
            "tap-signalwire-logs",
            "--test",
            SIGNALWIRE_SPACE=sim.space,
            SIGNALWIRE_PROJECT_ID=sim.project_id,
            SIGNALWIRE_API_TOKEN=sim.api_token,
        )
    assert '"type":"RECORD"' in log


def _is_final(record: dict[str, object]) -> bool:
    outbound = str(record["direction"]).startswith("outbound")
    return record["status"] in {"delivered", "undelivered", "failed", "received"} and (
        not outbound or bool(record["charge"])
    )
