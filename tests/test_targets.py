"""What drifts, through the real loaders into DuckDB and PostgreSQL: nothing breaks, and the values stay."""

from __future__ import annotations

import re
from decimal import Decimal

import psycopg
import pytest
from psycopg import sql

from tests.simulator import MISSING, Simulator
from tests.support.pipeline import Pipeline, credentials
from tests.support.postgres import as_record, rows_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline.shared(tmp_path_factory.mktemp("project"), "target-duckdb", "target-postgres")


@pytest.fixture
def pipeline(installed: Pipeline) -> Pipeline:
    """With no state, and nothing landed yet."""
    installed.forget()
    return installed


def _drifted(sim: Simulator) -> dict[str, str]:
    """Messages of every shape that the service may drift to; gives their IDs by what is odd."""
    ids = {
        "charge as text": sim.add({"charge": "0.00415", "charge_details": [{"description": "x", "charge": "0.1"}]}),
        "smallest charge": sim.add({"charge": Decimal("0.000001")}),
        "new values": sim.add({"status": "read", "direction": "sideways", "kind": "whatsapp"}),
        "new field": sim.add({"carrier": {"name": "new"}}),
        "missing fields": sim.add(
            dict.fromkeys(("error_message", "error_code", "url", "charge", "charge_details", "kind"), MISSING)
        ),
        "nulls": sim.add(dict.fromkeys(("from", "to", "status", "charge", "number_of_segments"))),
        "raw caller": sim.add({"from": "anonymous", "to": "sip:user@example.org"}),
        "unicode and NUL": sim.add({"error_message": 'grüße \U0001f600 \0 "quoted", \r\n lines \\ and\ttabs'}),
        "number as text": sim.add({"number_of_segments": "2"}),
        "deleted": sim.add({}),
    }
    sim.delete(ids["deleted"])
    return ids


@pytest.mark.parametrize("target", ["target-duckdb", "target-postgres"])
def test_what_drifts_lands_with_nothing_broken(target: str, pipeline: Pipeline, postgres: str) -> None:
    with Simulator(messages=40, seed=7, days=2) as sim:
        ids = _drifted(sim)
        settings = {"TAP_SIGNALWIRE_LOGS_INCLUDE_DELETED": "true", "TARGET_POSTGRES_SQLALCHEMY_URL": postgres}
        pipeline.run(sim, target, **settings)
        rows = rows_of(postgres) if target == "target-postgres" else pipeline.landed()
        assert set(rows) == set(sim.truth(include_deleted=True))
        of = {name: rows[log_id] for name, log_id in ids.items()}
        assert of["charge as text"]["charge"] == Decimal("0.00415")
        assert of["charge as text"]["charge_details"][0]["charge"] in (Decimal("0.1"), 0.1)
        assert of["smallest charge"]["charge"] == Decimal("0.000001")
        assert (of["new values"]["status"], of["new values"]["kind"]) == ("read", "whatsapp")
        assert of["missing fields"]["kind"] is None
        assert of["missing fields"]["charge"] is None
        assert of["nulls"]["from"] is None
        assert of["raw caller"]["to"] == "sip:user@example.org"
        assert of["unicode and NUL"]["error_message"] == 'grüße \U0001f600  "quoted", \r\n lines \\ and\ttabs'
        assert of["number as text"]["number_of_segments"] == 2
        assert of["deleted"]["status"] is None
        assert of["deleted"]["discarded_at"] is not None


def test_postgres_s_columns_are_what_the_readme_says(pipeline: Pipeline, postgres: str) -> None:
    with Simulator(messages=5, seed=7, days=2) as sim:
        pipeline.run(sim, "target-postgres", TARGET_POSTGRES_SQLALCHEMY_URL=postgres)
    with psycopg.connect(postgres) as connection:
        columns: dict[str, str] = dict(
            connection.execute(
                "select column_name, data_type from information_schema.columns where table_name = 'message_logs'"
            ).fetchall()
        )
    assert {name: columns[name] for name in ("id", "charge", "charge_details", "created_at", "from", "to")} == {
        "id": "uuid",
        "charge": "numeric",
        "charge_details": "ARRAY",
        "created_at": "timestamp without time zone",
        "from": "text",
        "to": "text",
    }


def test_postgres_equals_the_space_after_a_second_run(pipeline: Pipeline, postgres: str) -> None:
    with Simulator(messages=2_000, seed=21, days=5) as sim:
        for _ in range(2):
            pipeline.run(sim, "target-postgres", TARGET_POSTGRES_SQLALCHEMY_URL=postgres)
            rows, truth = rows_of(postgres), sim.truth()
            assert {log_id: as_record(rows[log_id]) for log_id in truth} == truth
            sim.advance(hours=10)


@pytest.mark.parametrize(
    ("where", "zone"),
    [
        pytest.param("database postgres", "America/New_York", id="database in New York"),
        pytest.param("role postgres", "Asia/Kolkata", id="role in Kolkata"),
        pytest.param("worker", "America/New_York", id="worker in New York"),
        pytest.param("worker", "Asia/Kolkata", id="worker in Kolkata"),
    ],
)
def test_instants_land_in_postgres_in_utc_in_any_zone(where: str, zone: str, pipeline: Pipeline, postgres: str) -> None:
    if where != "worker":
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(sql.SQL("alter " + where + " set timezone to {}").format(zone))
    worker = {"TZ": zone, "PGTZ": zone} if where == "worker" else {}
    variables = {**worker, "TARGET_POSTGRES_SQLALCHEMY_URL": postgres}
    try:
        with Simulator(messages=100, seed=7, days=2) as sim:
            for hours in (0, 10):
                sim.advance(hours=hours)
                pipeline.run(sim, "target-postgres", **variables)
                rows, truth = rows_of(postgres), sim.truth()
                assert {log_id: as_record(rows[log_id]) for log_id in truth} == truth
            whole = ("invoke", "tap-signalwire-logs:verify", "--start", "2000-01-01", "target-postgres")
            log = pipeline.meltano(*whole, **credentials(sim), **variables)
        assert re.search(rf"equal +{len(truth)}$", log, re.MULTILINE)
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute("alter database postgres reset timezone")
            connection.execute("alter role postgres reset timezone")
