"""A first run, a second one after changes, and a range read again, into each warehouse: rows, values and types."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
import pytest

from tests.simulator import Simulator
from tests.support.bigquery import BigQuery, emulated, refusing
from tests.support.pipeline import MELTANO, ROOT, Pipeline
from tests.support.postgres import records_of
from tests.support.run import with_scripts
from tests.support.verify import Loader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

DUCKDB = {
    "id": "VARCHAR",
    "from": "VARCHAR",
    "number_of_segments": "HUGEINT",
    "charge": "DOUBLE",
    "charge_details": "JSON",
    "created_at": "TIMESTAMP",
}
POSTGRES = {
    "id": "uuid",
    "from": "text",
    "number_of_segments": "bigint",
    "charge": "numeric",
    "charge_details": "ARRAY",
    "created_at": "timestamp without time zone",
}
BIGQUERY = {
    "id": ("string", "NULLABLE"),
    "from": ("string", "NULLABLE"),
    "number_of_segments": ("integer", "NULLABLE"),
    "charge": ("float", "NULLABLE"),
    "charge_details": ("record", "REPEATED"),
    "created_at": ("timestamp", "NULLABLE"),
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    bigquery = () if sys.version_info >= (3, 12) else ("target-bigquery",)
    return Pipeline.shared(tmp_path_factory.mktemp("project"), "target-duckdb", "target-postgres", *bigquery)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQuery]:
    if sys.version_info >= (3, 12):
        pytest.skip("the loader needs Python 3.11 or older, and the machine may have none")
    with emulated(tmp_path_factory.mktemp("bigquery")) as service:
        yield service


@pytest.fixture
def bigquery(emulator: BigQuery) -> BigQuery:
    """A BigQuery without a dataset."""
    emulator.drop_dataset("signalwire")
    return emulator


def test_duckdb_equals_the_space_after_each_run(pipeline: Pipeline) -> None:
    def types() -> dict[str, Any]:
        with duckdb.connect(str(pipeline.database), read_only=True) as connection:
            return dict(
                connection.execute(
                    "select column_name, data_type from duckdb_columns() where table_name = 'message_logs'"
                ).fetchall()
            )

    _first_second_and_again(pipeline, "target-duckdb", {}, pipeline.landed)
    assert {name: types()[name] for name in DUCKDB} == DUCKDB


def test_postgres_equals_the_space_after_each_run(pipeline: Pipeline, postgres: str) -> None:
    variables = {"TARGET_POSTGRES_SQLALCHEMY_URL": postgres}
    _first_second_and_again(pipeline, "target-postgres", variables, lambda: records_of(postgres))
    with psycopg.connect(postgres) as connection:
        query = "select column_name, data_type from information_schema.columns where table_name = 'message_logs'"
        types: dict[str, str] = dict(connection.execute(query).fetchall())
    assert {name: types[name] for name in POSTGRES} == POSTGRES


def test_bigquery_s_view_equals_the_space_after_each_run(pipeline: Pipeline, bigquery: BigQuery) -> None:
    view = _views()["message_logs"]

    def records() -> dict[str, dict[str, Any]]:
        bigquery.query(view)
        return bigquery.records("message_logs_now")

    _first_second_and_again(pipeline, "target-bigquery", bigquery.variables, records)
    schema = bigquery.schema("signalwire", "message_logs")
    assert {name: (schema[name][0].lower(), schema[name][1]) for name in BIGQUERY} == BIGQUERY
    (rows,), (logs,) = (
        bigquery.query(f"select count({what}) from signalwire.message_logs") for what in ("*", "distinct id")
    )
    assert int(rows[0]) > int(logs[0]), "versions are appended"


def test_bigquery_s_newest_versions_are_compared_with_the_space(
    pipeline: Pipeline, bigquery: BigQuery, tmp_path: Path
) -> None:
    loader = Loader.of(pipeline, "target-bigquery", tmp_path, **bigquery.settings)
    with Simulator(messages=100, seed=5, days=2) as sim:
        for suffix in ("one", "two"):
            pipeline.run(sim, "target-bigquery", f"--state-id-suffix={suffix}", **bigquery.variables)
            sim.advance(hours=8)
        stale = loader.verify(sim, variables=bigquery.variables)
        pipeline.run(sim, "target-bigquery", "--state-id-suffix=two", **bigquery.variables)
        true = loader.verify(sim, variables=bigquery.variables)
    assert stale.code == 1
    assert stale.counts["stale"]
    assert (true.code, true.counts) == (0, {**true.counts, "equal": len(sim.truth()), "missing": 0, "doubled": 0})


def test_bigquery_s_views_show_each_record_of_all_six_streams_once(pipeline: Pipeline, bigquery: BigQuery) -> None:
    families = {"voice_logs": 8, "fax_logs": 4, "video_logs": 4, "conference_logs": 4}
    pipeline.forget()
    with Simulator(messages=20, seed=5, days=3, families=families) as sim:
        every = {"TAP_SIGNALWIRE_LOGS__SELECT": '["*.*"]'}
        for suffix in ("one", "two"):
            pipeline.run(sim, "target-bigquery", f"--state-id-suffix={suffix}", **every, **bigquery.variables)
        for stream, view in _views().items():
            bigquery.query(view)
            key = "log_id, position" if stream == "voice_log_events" else "id"
            rows = bigquery.query(f"select distinct {key} from signalwire.{stream}_now")
            ((shown,),) = bigquery.query(f"select count(*) from signalwire.{stream}_now")
            assert len(rows) == int(shown) == len(sim.truth(family=stream)), stream
    assert len(_views()) == 6


def test_bigquery_s_loader_fails_where_a_row_is_refused_and_writes_no_state(
    pipeline: Pipeline, bigquery: BigQuery
) -> None:
    schema = {"properties": {"id": {"type": "string"}, "created_at": {"type": "string", "format": "date-time"}}}
    messages = [
        {"type": "SCHEMA", "stream": "refused", "schema": schema, "key_properties": ["id"]},
        {"type": "RECORD", "stream": "refused", "record": {"id": "1", "created_at": "2026-01-01T00:00:00Z"}},
        {"type": "RECORD", "stream": "refused", "record": {"id": "2", "created_at": "2026-01-01T00:00:00Z"}},
        {"type": "STATE", "value": {"bookmarks": {}}},
    ]
    # The emulator itself takes any row, or answers 500.
    with refusing(bigquery) as variables:
        done = _invoke_bigquery(pipeline, messages, variables)
    assert done.returncode == 1, done.stdout
    assert "BigQuery refused 2 of 2 rows of refused: invalid at created_at" in done.stdout
    assert "bookmarks" not in done.stdout


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        pytest.param({"TARGET_BIGQUERY_PROJECT": ""}, "TARGET_BIGQUERY_PROJECT", id="project"),
        pytest.param({"TARGET_BIGQUERY_CREDENTIALS_PATH": "/nowhere.json"}, "/nowhere.json", id="credentials"),
    ],
)
def test_bigquery_s_loader_names_what_is_missing_in_one_line(
    lacks: dict[str, str], told: str, pipeline: Pipeline, bigquery: BigQuery
) -> None:
    schema = {"properties": {"id": {"type": "string"}}}
    messages = [{"type": "SCHEMA", "stream": "x", "schema": schema, "key_properties": ["id"]}]
    done = _invoke_bigquery(pipeline, messages, {**bigquery.variables, **lacks})
    assert done.returncode == 1, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "target-bigquery: " in line]
    assert told in line
    assert "Traceback" not in done.stdout


def _invoke_bigquery(
    pipeline: Pipeline, messages: list[dict[str, Any]], variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MELTANO, "invoke", "target-bigquery"],
        input="".join(f"{json.dumps(message)}\n" for message in messages),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
        cwd=pipeline.folder,
        env=with_scripts(NO_COLOR="1", **variables),
    )


def _first_second_and_again(
    pipeline: Pipeline, loader: str, variables: dict[str, str], records: Callable[[], dict[str, dict[str, Any]]]
) -> None:
    pipeline.forget()
    with Simulator(messages=500, seed=11, days=3) as sim:
        pipeline.run(sim, loader, **variables)
        first = sim.truth()
        assert records() == first
        sim.advance(hours=10)
        pipeline.run(sim, loader, **variables)
        assert _without_deleted(records(), sim) == sim.truth()
        changed = [log_id for log_id, record in sim.truth().items() if log_id in first and record != first[log_id]]
        assert changed
        sim.advance(hours=1)
        span = {
            "TAP_SIGNALWIRE_LOGS_START_DATE": min(record["created_at"] for record in first.values()),
            "TAP_SIGNALWIRE_LOGS_END_DATE": sim.clock.isoformat(),
        }
        sim.clear_requests()
        pipeline.run(sim, loader, "--state-id-suffix=backfill", **span, **variables)
        assert len(sim.gets()) >= len(_without_deleted(first, sim)), "the range is read anew"
        assert _without_deleted(records(), sim) == {
            log_id: record
            for log_id, record in sim.truth().items()
            if record["created_at"] < span["TAP_SIGNALWIRE_LOGS_END_DATE"]
        }


def _without_deleted(rows: dict[str, dict[str, Any]], sim: Simulator) -> dict[str, dict[str, Any]]:
    truth = sim.truth()
    return {log_id: row for log_id, row in rows.items() if log_id in truth}


def _views() -> dict[str, str]:
    """BigQuery's views of the guide, by their streams."""
    guide = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    found = re.findall(r"^(create or replace view signalwire\.(\w+)_now as\n.+?);$", guide, re.DOTALL | re.MULTILINE)
    return {stream: view for view, stream in found}
