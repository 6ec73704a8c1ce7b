"""A first run, a second one after changes, and a range read again, into each warehouse: rows, values and types."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
import pytest

from tests.simulator import Simulator
from tests.support.bigquery import BigQuery, emulated
from tests.support.pipeline import ROOT, Pipeline
from tests.support.postgres import records_of
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
    return Pipeline.installed(tmp_path_factory.mktemp("project"), "target-duckdb", "target-postgres")


@pytest.fixture
def bigquery(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQuery]:
    if sys.version_info >= (3, 12):
        pytest.skip("the loader needs Python 3.11 or older, and plugins get Meltano's own")
    pipeline.meltano("install", "target-bigquery")
    with emulated(tmp_path_factory.mktemp("bigquery")) as service:
        yield service


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
    (view,) = re.findall(r"```sql\n(create or replace view .+?)```", _readme(), re.DOTALL)

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


def _readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")
