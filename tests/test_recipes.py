"""What the README and the operations guide tell to do with Meltano, done."""

from __future__ import annotations

import json
import re
import signal
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.simulator import Simulator
from tests.support.pipeline import ROOT, Pipeline, credentials
from tests.support.postgres import records_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

STATE_ID = "dev:tap-signalwire-logs-to-target-jsonl"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    loaders = ("target-duckdb", "target-jsonl", "target-postgres")
    return Pipeline.shared(tmp_path_factory.mktemp("project"), *loaders, "dbt-duckdb", "dbt-postgres", is_whole=True)


@pytest.fixture
def pipeline(installed: Pipeline) -> Iterator[Pipeline]:
    """The project with nothing landed and no state; what a test writes into `meltano.yml` is taken back."""
    installed.forget()
    file = installed.folder / "meltano.yml"
    before = file.read_text(encoding="utf-8")
    yield installed
    file.write_text(before, encoding="utf-8")


def test_phone_numbers_are_hashed_and_the_project_is_a_column(pipeline: Pipeline) -> None:
    (extractor,) = _extractors(pipeline)
    extractor["config"].update(_recipe("stream_maps"))
    _write_extractors(pipeline, [extractor])
    with Simulator(messages=20, seed=7, days=3) as sim:
        nobody = sim.add({"from": None})
        pipeline.run(sim, "target-jsonl", PHONE_SALT="a salt")
        rows, truth = _rows(pipeline.folder), sim.truth()
    assert set(rows) == set(truth)
    for log_id, record in truth.items():
        for name in ("from", "to"):
            number = record[name]
            assert rows[log_id][name] == (number and sha256(f"a salt{number}".encode()).hexdigest())
        assert rows[log_id]["project_id"] == sim.project_id
    assert rows[nobody]["from"] is None


def test_several_spaces_stand_side_by_side_each_with_its_own_state(pipeline: Pipeline) -> None:
    (extractor,) = _extractors(pipeline)
    extractor["config"].update(_recipe("stream_maps"))
    _write_extractors(pipeline, [extractor, *_recipe("- name")])
    with Simulator(messages=30, seed=7, days=3) as one, Simulator(messages=30, seed=8, days=3) as other:
        other.project_id = "11111111-2222-4333-8444-555555555555"
        variables = {**credentials(one), **credentials(other, "SALES"), "PHONE_SALT": "a salt"}
        for tap in ("tap-signalwire-logs", "tap-signalwire-logs--sales"):
            pipeline.meltano("run", tap, "target-jsonl", **variables)
        rows = _rows(pipeline.folder)
        owners = {log_id: row["project_id"] for log_id, row in rows.items()}
        assert owners == {log_id: sim.project_id for sim in (one, other) for log_id in sim.truth()}
        assert one.project_id != other.project_id
    states = pipeline.meltano("state", "list")
    assert STATE_ID in states
    assert "dev:tap-signalwire-logs--sales-to-target-jsonl" in states


def test_a_second_run_is_incremental_and_the_state_is_there_to_see(pipeline: Pipeline) -> None:
    with Simulator(messages=200, seed=7, days=30) as sim:
        pipeline.meltano("run", "messages-to-duckdb", **credentials(sim))
        sim.clear_requests()
        pipeline.meltano("run", "messages-to-duckdb", **credentials(sim))
        assert len(sim.gets()) < 20
        newest = max(record["created_at"] for record in sim.truth().values())
        assert pipeline.landed() == sim.truth()
    state_id = "dev:tap-signalwire-logs-to-target-duckdb"
    assert state_id in pipeline.meltano("state", "list")
    state = re.search(r"^\{.+\}$", pipeline.meltano("state", "get", state_id), re.MULTILINE)
    assert state
    bookmark = json.loads(state[0])["singer_state"]["bookmarks"]["message_logs"]
    assert bookmark["replication_key_value"] == newest


def test_in_prod_the_loader_reads_the_platform_s_own_variable(pipeline: Pipeline, postgres: str) -> None:
    with Simulator(messages=20, seed=7, days=3) as sim:
        pipeline.meltano("--environment=prod", "run", "messages-to-postgres", DATABASE_URL=postgres, **credentials(sim))
        assert records_of(postgres) == sim.truth()


@pytest.mark.real_command
def test_sigterm_ends_a_run_and_the_next_one_goes_on_from_the_state_before(pipeline: Pipeline) -> None:
    with Simulator(messages=400, seed=7, days=3) as sim:
        pipeline.run(sim, "target-jsonl")
        received = {log_id for log_id, record in sim.truth().items() if record["status"] == "received"}
        sim.advance(hours=20)
        sim.latency = 0.5
        sim.clear_requests()
        process = pipeline.start(
            "run", "tap-signalwire-logs", "target-jsonl", **credentials(sim), TAP_SIGNALWIRE_LOGS_CONCURRENCY="2"
        )
        while len(sim.gets()) < 10:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM, log
        time.sleep(5)  # the tap ends within seconds; all the gets would take it a minute and more
        seen = sim.request_count
        time.sleep(2)
        assert sim.request_count == seen, "the tap has ended too"
        sim.latency = 0.0
        sim.clear_requests()
        pipeline.run(sim, "target-jsonl")
        rows, truth = _rows(pipeline.folder), sim.truth()
        assert {log_id: rows[log_id]["status"] for log_id in truth} == {
            log_id: record["status"] for log_id, record in truth.items()
        }
        fetched = {request.path.rpartition("/")[2] for request in sim.gets()}
        assert received
        assert not fetched & received


def test_a_structured_log_has_each_metric_as_a_number(pipeline: Pipeline) -> None:
    with Simulator(messages=20, seed=7, days=3) as sim:
        log = pipeline.meltano("--log-format=json", "run", "tap-signalwire-logs", "target-jsonl", **credentials(sim))
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        points = [line["metric_info"] for line in lines if "metric_info" in line]
        told = {point["metric"]: point["value"] for point in points}
        assert told["http_request_count"] == sim.request_count
        assert told["http_retry_count"] == 0
        assert told["record_count"] == len(sim.truth())


def test_a_range_is_read_again_beside_the_pipeline_s_state(pipeline: Pipeline) -> None:
    with Simulator(messages=100, seed=7, days=30) as sim:
        pipeline.run(sim, "target-jsonl")
        before = pipeline.meltano("state", "get", STATE_ID)
        created = sorted(record["created_at"] for record in sim.truth().values())
        start, end = created[20], created[60]
        sim.clear_requests()
        (command,) = re.findall(r"^(meltano run .*--state-id-suffix.*)$", _operations(), re.MULTILINE)
        span = {"TAP_SIGNALWIRE_LOGS_START_DATE": start, "TAP_SIGNALWIRE_LOGS_END_DATE": end}
        words = command.replace("target-postgres", "target-jsonl").split()[1:]
        pipeline.meltano(*words, **credentials(sim), **span)
        assert len({request.path for request in sim.gets()}) == len([one for one in created if start <= one < end])
        assert _state(pipeline.meltano("state", "get", STATE_ID)) == _state(before)


def test_start_date_moves_back_once_the_state_is_cleared(pipeline: Pipeline) -> None:
    with Simulator(messages=100, seed=7, days=30) as sim:
        created = sorted(record["created_at"] for record in sim.truth().values())
        pipeline.run(sim, "target-jsonl", TAP_SIGNALWIRE_LOGS_START_DATE=created[50])
        early = {"TAP_SIGNALWIRE_LOGS_START_DATE": created[0]}
        pipeline.run(sim, "target-jsonl", **early)
        assert len(_rows(pipeline.folder)) < len(created), "the state comes before an earlier start_date"
        (command,) = re.findall(r"^(meltano state clear .*)$", _operations(), re.MULTILINE)
        pipeline.meltano(*command.replace("target-postgres", "target-jsonl").split()[1:])
        pipeline.run(sim, "target-jsonl", **early)
        assert set(_rows(pipeline.folder)) == set(sim.truth())


def _recipe(begin: str) -> Any:
    blocks = re.findall(r"```yaml\n(.+?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if block.startswith(begin)]
    return yaml.safe_load(block)


def _operations() -> str:
    return (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def _extractors(pipeline: Pipeline) -> list[dict[str, Any]]:
    project = yaml.safe_load((pipeline.folder / "meltano.yml").read_text(encoding="utf-8"))
    extractors: list[dict[str, Any]] = project["plugins"]["extractors"]
    return extractors


def _write_extractors(pipeline: Pipeline, extractors: list[dict[str, Any]]) -> None:
    file = pipeline.folder / "meltano.yml"
    project = yaml.safe_load(file.read_text(encoding="utf-8"))
    project["plugins"]["extractors"] = extractors
    file.write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / "output" / "message_logs.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def _state(log: str) -> str:
    found = re.search(r"^\{.+\}$", log, re.MULTILINE)
    assert found
    return found[0]
