"""The dbt package on what real loaders landed: its figures against the Space's own, computed apart."""

from __future__ import annotations

import csv
import json
import subprocess
from datetime import timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import yaml

from tests.simulator import Simulator
from tests.support import figures
from tests.support.bigquery import BigQuery, emulated
from tests.support.environments import BELOW_3_14, environment_of
from tests.support.models import CA, FAMILIES, HOURS_BETWEEN, NOW, US, WAREHOUSES, Space, rounded
from tests.support.pipeline import QUIET, ROOT
from tests.support.run import output_of, with_scripts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TRANSFORM = ROOT / "transform"


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_delivery_by_day_equals_the_space_s(warehouse: str, space: Space) -> None:
    columns = "messages, delivered, undelivered, failed, pending, no_receipt, unknown, delivery_rate, segments, charge"
    found = space.figures(warehouse, 2, f"select created_date, kind, {columns} from analytics.daily_delivery")
    assert found == figures.daily_delivery(space.messages.values())


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_every_number_s_figures_equal_the_space_s(warehouse: str, space: Space) -> None:
    columns = "number_kind, country, outbound, inbound, delivered, undelivered, failed, delivery_rate, charge"
    found = space.figures(warehouse, 1, f"select number, {columns} from analytics.number_overview")
    assert found == figures.number_overview(space.messages.values())
    columns = "delivery_rate_low, delivery_rate, delivery_rate_high"
    for bounds in space.rows(
        warehouse, f"select {columns} from analytics.number_overview where delivery_rate is not null"
    ):
        low, rate, high = map(rounded, bounds)
        assert 0 <= low <= rate <= high <= 1


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_countries_and_error_codes_equal_the_space_s(warehouse: str, space: Space) -> None:
    found = space.figures(warehouse, 1, "select country, messages, delivery_rate from analytics.country_overview")
    assert found == figures.country_overview(space.messages.values())
    query = "select error_code, messages, share_of_failures from analytics.error_code_overview"
    assert space.figures(warehouse, 1, query) == figures.error_code_overview(space.messages.values())
    words = space.figures(
        warehouse, 1, "select error_code, vocabulary, category, retry_helps from analytics.error_code_overview"
    )
    assert words["30003"] == ("laml", "unreachable", True)
    assert words["carrier_violation"] == ("relay", "filtered", False)
    assert words["no_code"] == ("none", "unknown", None)
    assert words["99999"] == ("unknown", "unknown", None)


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_spend_equals_the_charges_of_every_family_to_the_last_digit(warehouse: str, space: Space) -> None:
    query = (
        "select created_date, family, kind, description, sum(charge) from analytics.spend_overview group by 1, 2, 3, 4"
    )
    families = {"message_logs": space.messages.values(), **{name: space.others[name].values() for name in FAMILIES}}
    expected = figures.spend(families)
    assert space.figures(warehouse, 4, query) == expected
    assert any(key[3] == "(not itemised)" for key in expected)


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_throughput_and_conversations_equal_the_space_s(warehouse: str, space: Space) -> None:
    columns = "messages, segments, peak_segments_per_second, segments_per_second_limit"
    found = space.figures(warehouse, 2, f"select hour_at, number, {columns} from analytics.throughput_hourly")
    assert found == figures.throughput_hourly(space.messages.values())
    above = space.rows(warehouse, "select number from analytics.throughput_hourly where was_above_limit")
    assert {("+18005550123",), (CA,)} <= set(above)
    columns = "outbound, inbound, first_outbound_at, first_reply_at, seconds_to_reply"
    found = space.figures(warehouse, 2, f"select our_number, contact_number, {columns} from analytics.conversations")
    assert found == figures.conversations(space.messages.values())
    assert found[US, "+61491570156"][-1] == timedelta(minutes=2).total_seconds()


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_other_families_days_equal_the_space_s(warehouse: str, space: Space) -> None:
    calls, faxes = space.others["voice_logs"].values(), space.others["fax_logs"].values()
    sessions, conferences = space.others["video_logs"].values(), space.others["conference_logs"].values()
    for table, count, records in (
        ("daily_calls", "calls", calls),
        ("daily_faxes", "faxes", faxes),
        ("daily_video", "sessions", sessions),
        ("daily_conferences", "conferences", conferences),
    ):
        sums = f"cast(sum({count}) as integer), coalesce(sum(charge), 0)"
        query = f"select created_date, {sums} from analytics.{table} group by 1"
        expected: dict[Any, list[Any]] = {}
        for record in records:
            row = expected.setdefault(figures.day(record), [0, Decimal()])
            row[0] += 1
            row[1] += Decimal(record.get("charge") or 0)
        assert space.figures(warehouse, 1, query) == {made: tuple(row) for made, row in expected.items()}, table
    assert space.rows(warehouse, "select cast(sum(seconds) as integer) from analytics.daily_calls") == [
        (sum(record.get("duration") or 0 for record in calls),)
    ]
    assert space.rows(warehouse, "select cast(sum(pages) as integer) from analytics.daily_faxes") == [
        (sum(record["number_of_pages"] or 0 for record in faxes),)
    ]


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_what_waits_is_shown_by_its_age(warehouse: str, space: Space) -> None:
    query = "select status, kind, cast(sum(messages) as integer) from analytics.pending_overview group by 1, 2"
    waiting = [one for one in space.messages.values() if figures.is_outbound(one) and figures.outcome(one) == "pending"]
    expected: dict[Any, int] = {}
    for record in waiting:
        key = record["status"], record.get("kind")
        expected[key] = expected.get(key, 0) + 1
    assert space.figures(warehouse, 2, query) == {key: (count,) for key, count in expected.items()}
    ages = space.rows(warehouse, "select distinct age from analytics.pending_overview where status = 'sent'")
    assert ("6 to 24 hours",) in ages


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_history_bounds_the_time_to_the_outcome_from_above(warehouse: str, space: Space) -> None:
    late = space.ids["late"]
    query = "select message_id, status from analytics.message_history order by dbt_valid_from"
    states = [status for log_id, status in space.rows(warehouse, query) if str(log_id) == late]
    assert states == ["sent", "delivered"]
    columns = "final_seen_at, seconds_to_final_at_most, is_telling"
    found = space.figures(warehouse, 1, f"select message_id, {columns} from analytics.delivery_time")
    bound = space.second_run - figures.instant(space.messages[late]["created_at"]).replace(tzinfo=timezone.utc)
    assert found[late] == (space.second_run.replace(tzinfo=None), int(bound.total_seconds()), False)
    began = space.first_run.replace(tzinfo=None)
    sent = {log_id: record for log_id, record in space.messages.items() if figures.is_outbound(record)}
    watched = {log_id for log_id, record in sent.items() if figures.instant(record["created_at"]) >= began}
    assert watched == {log_id for log_id, (*_, is_telling) in found.items() if is_telling}
    assert watched < set(sent) == set(found)


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_a_build_without_new_logs_writes_no_row_again(warehouse: str, space: Space) -> None:
    queries = (
        "select count(*), count(distinct changed_at), max(changed_at) from analytics.message_enhanced",
        "select count(*), count(distinct changed_at), max(changed_at) from analytics.daily_delivery",
        "select count(*), max(dbt_valid_from) from analytics.message_history",
    )
    before = [space.rows(warehouse, query) for query in queries]
    assert before[0][0][1] == 2, "the second build wrote only what had changed"
    space.build(warehouse, "build", "--select", "message_enhanced", "daily_delivery", "message_history", now=NOW)
    assert [space.rows(warehouse, query) for query in queries] == before


def test_every_column_of_every_model_is_described(space: Space) -> None:
    manifest = json.loads((space.pipeline.folder / ".meltano/dbt/duckdb/manifest.json").read_text("utf-8"))
    described = {
        node["name"]: {name for name, column in node["columns"].items() if column["description"]}
        for node in manifest["nodes"].values()
        if node["resource_type"] in {"model", "seed"} and node["description"]
    }
    columns: dict[str, set[str]] = {}
    for table, column in space.rows(
        "duckdb", "select table_name, column_name from information_schema.columns where table_schema = 'analytics'"
    ):
        columns.setdefault(table, set()).add(column)
    columns.pop("message_history")
    assert columns == described


def test_the_documents_say_what_each_model_is_for(space: Space) -> None:
    guide = (ROOT / "docs" / "models.md").read_text("utf-8")
    tables = space.rows("duckdb", "select table_name from information_schema.tables where table_schema = 'analytics'")
    assert [name for (name,) in tables if f"`{name}`" not in guide and not name.startswith(("stg_", "int_"))] == []


def test_an_analyst_imports_the_package_in_a_dbt_project_of_their_own(space: Space, tmp_path: Path) -> None:
    project = {
        "name": "shop",
        "profile": "signalwire_logs",
        "model-paths": ["models"],
        "vars": {"signalwire_schema": "signalwire", "signalwire_segments_per_second": dict.fromkeys(_limits(), 99)},
        "flags": {"send_anonymous_usage_stats": False},
    }
    (tmp_path / "dbt_project.yml").write_text(yaml.safe_dump(project), "utf-8")
    (tmp_path / "packages.yml").write_text(yaml.safe_dump({"packages": [{"local": str(TRANSFORM)}]}), "utf-8")
    (tmp_path / "models").mkdir()
    model = "select sum(messages) as messages from {{ ref('signalwire_logs', 'daily_delivery') }}"
    (tmp_path / "models" / "mine.sql").write_text(model, "utf-8")
    dbt = space.pipeline.folder / ".meltano/utilities/dbt-duckdb/venv/bin/dbt"
    variables = with_scripts(
        **QUIET,
        DBT_PROFILES_DIR=str(TRANSFORM / "profiles"),
        DBT_DUCKDB_PATH=str(space.pipeline.database),
        DBT_DUCKDB_SCHEMA="shop",
    )
    output_of([dbt, "deps"], tmp_path, variables, 120)
    resources = ("--resource-type", "model", "--resource-type", "seed")
    output_of([dbt, "build", *resources, "--select", "+mine", "+throughput_hourly"], tmp_path, variables, 120)
    assert space.rows("duckdb", "select cast(messages as integer) from shop.mine") == [
        (sum(map(figures.is_outbound, space.messages.values())),)
    ]
    assert space.rows("duckdb", "select distinct segments_per_second_limit from shop.throughput_hourly") in (
        [(99,), (None,)],
        [(None,), (99,)],
    )


def _limits() -> list[str]:
    project = yaml.safe_load((TRANSFORM / "dbt_project.yml").read_text("utf-8"))
    return list(project["vars"]["signalwire_segments_per_second"])


@pytest.mark.parametrize("told", ["a URL with escapes", "five settings"])
def test_postgres_is_reached_as_the_loader_is_told_to(told: str, space: Space) -> None:
    folder = parse_qs(urlsplit(space.url).query)["host"][0]
    url = {"TARGET_POSTGRES_SQLALCHEMY_URL": f"postgresql+psycopg://postgres:p%40s@/postgres?host={quote(folder, '')}"}
    five = {
        "TARGET_POSTGRES_HOST": folder,
        "TARGET_POSTGRES_USER": "postgres",
        "TARGET_POSTGRES_PASSWORD": "p@s",
        "TARGET_POSTGRES_DATABASE": "postgres",
    }
    log = space.pipeline.meltano("invoke", "dbt-postgres", "debug", **(url if told.startswith("a URL") else five))
    assert "All checks passed!" in log


def test_the_models_are_built_on_bigquery_from_appended_versions(tmp_path: Path) -> None:
    commands = environment_of("dbt-bigquery", "dbt-core==1.11.16", "dbt-bigquery==1.12.1", python=BELOW_3_14)
    with Simulator(messages=60, seed=12, days=2, clock=NOW) as sim, emulated(tmp_path) as service:
        before = sim.truth()
        sim.advance(hours=HOURS_BETWEEN)
        now = {**before, **sim.truth()}
        for dataset in ("signalwire", "analytics"):
            service.create_dataset(dataset)
        _land_versions(service, [*before.values(), *now.values()])
        variables = with_scripts(
            **service.variables,
            **{**QUIET, "DBT_WRITE_JSON": "true"},  # what was compiled is read below
            DBT_PROFILES_DIR=str(TRANSFORM / "profiles"),
            DBT_BIGQUERY_PROJECT=service.variables["TARGET_BIGQUERY_PROJECT"],
            DBT_BIGQUERY_CREDENTIALS_PATH=service.variables["TARGET_BIGQUERY_CREDENTIALS_PATH"],
            SIGNALWIRE_DBT_TARGET="bigquery",
            DBT_TARGET_PATH=str(tmp_path),
            DBT_LOG_PATH=str(tmp_path),
        )
        # Without the tests: the emulator's decimals have three digits behind the point, whatever is declared.
        resources = [word for kind in ("seed", "model", "snapshot") for word in ("--resource-type", kind)]
        output_of([commands / "dbt", "build", *resources], TRANSFORM, variables, 240)
        columns = "messages, delivered, undelivered, failed, pending, no_receipt"
        rows = service.query(f"select created_date, kind, {columns} from analytics.daily_delivery")
    found = {(day, kind): tuple(map(int, counts)) for day, kind, *counts in rows}
    expected = figures.daily_delivery(now.values())
    assert found == {(str(day), kind): row[:6] for (day, kind), row in expected.items()}
    (staging,) = tmp_path.glob("compiled/**/stg_signalwire__message_logs.sql")
    assert "cast(`charge` as decimal(28, 9))" in staging.read_text("utf-8")


def _land_versions(service: BigQuery, records: list[dict[str, Any]]) -> None:
    """Make the table that target-bigquery appends to; later records are later versions."""
    names = ("id", "from", "to", "status", "direction", "kind", "error_code", "error_message")
    service.query(
        f"create table signalwire.message_logs ({', '.join(f'`{name}` string' for name in names)},"
        " number_of_segments int64, charge float64, charge_details array<struct<description string, charge float64>>,"
        " created_at timestamp, _sdc_extracted_at timestamp, _sdc_sequence int64)"
    )
    rows = [
        {
            **{name: record[name] for name in names},
            "number_of_segments": record["number_of_segments"],
            "charge": float(record["charge"]),
            "charge_details": [{"description": "all", "charge": float(record["charge"])}],
            "created_at": record["created_at"],
            "_sdc_extracted_at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
            "_sdc_sequence": place,
        }
        for place, record in enumerate(records)
    ]
    service.insert("signalwire", "message_logs", rows)


class TestNumberPrefixes:
    """The seed of countries and toll-free ranges, against the library that it is made from."""

    @pytest.fixture
    def python(self) -> Path:
        return environment_of("numbers", "phonenumbers==9.0.43", "regex~=2026.1") / "python"

    def test_the_script_writes_the_seed(self, python: Path, tmp_path: Path) -> None:
        script = TRANSFORM / "scripts" / "number_prefixes.py"
        codes = ["1", "7", "44", "599", "800"]
        subprocess.run([python, script, tmp_path / "seed.csv", *codes], check=True)
        written = (tmp_path / "seed.csv").read_text("utf-8").splitlines()
        seed = (TRANSFORM / "seeds" / "number_prefixes.csv").read_text("utf-8").splitlines()
        assert len(written) > 100
        assert set(written) <= set(seed)

    def test_it_knows_the_library_s_example_of_each_kind_of_number_in_each_country(self, python: Path) -> None:
        examples = (
            "import json, phonenumbers as p\n"
            "numbers = {(r, t): p.example_number_for_type(r, t)\n"
            "           for r in sorted(p.SUPPORTED_REGIONS) for t in p.PhoneNumberType.values()}\n"
            "print(json.dumps([[p.format_number(n, 0)[1:], p.region_code_for_number(n),\n"
            "                   p.number_type(n) == p.PhoneNumberType.TOLL_FREE] for n in numbers.values() if n]))\n"
        )
        printed = subprocess.run([python, "-c", examples], check=True, capture_output=True, text=True).stdout
        with (TRANSFORM / "seeds" / "number_prefixes.csv").open(encoding="utf-8") as file:
            seed = {row["prefix"]: (row["country"], row["line_kind"]) for row in csv.DictReader(file)}
        wrong_kind = []
        for digits, country, is_free in json.loads(printed):
            found, kind = next(seed[digits[:length]] for length in range(len(digits), 0, -1) if digits[:length] in seed)
            assert found == country, digits
            if (kind == "toll_free") != is_free:
                wrong_kind.append(digits)
        # Ranges where only the number's length tells toll-free apart.
        assert len(wrong_kind) < 10
