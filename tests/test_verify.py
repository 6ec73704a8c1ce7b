"""A loader's table beside the Space: the simulated Space into real loaders, then damage done to the table."""

from __future__ import annotations

import re
import subprocess
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
import pytest

from tests.simulator import MISSING, Simulator
from tests.support.environments import BELOW_3_14, environment_of
from tests.support.pipeline import ROOT, Pipeline, credentials
from tests.support.run import STREAMS, config_for, environment, run_tap, write_json
from tests.support.subject import catalog_with
from tests.support.verify import COMMAND, Loader, delete_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

LOADERS = ["target-duckdb", "target-postgres", "target-jsonl"]
NOTHING = {"missing": 0, "stale": 0, "doubled": 0, "gone": 0}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline.shared(tmp_path_factory.mktemp("project"), *LOADERS)


@pytest.fixture
def loader(request: pytest.FixtureRequest, pipeline: Pipeline, postgres: str, tmp_path: Path) -> Loader:
    """A loader by its name, with nothing loaded."""
    settings: dict[str, Any] = {
        "target-duckdb": {"path": str(tmp_path / "warehouse.duckdb"), "default_target_schema": "signalwire"},
        "target-postgres": {
            "sqlalchemy_url": postgres.replace("postgresql://", "postgresql+psycopg://"),
            "default_target_schema": "signalwire",
            "add_record_metadata": False,
            "activate_version": False,
        },
        "target-jsonl": {"destination_path": str(tmp_path)},
    }
    return Loader.of(pipeline, request.param, tmp_path, **settings[request.param])


def each(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("loader", names, indirect=True)


@pytest.fixture
def space() -> Iterator[Simulator]:
    with Simulator(messages=300, seed=7, days=5) as sim:
        yield sim


def load(loader: Loader, sim: Simulator, *streams: str, **settings: Any) -> None:
    catalog = catalog_with(*streams) if streams else None
    loader.load(run_tap(loader.folder, config_for(sim, record_source="list", **settings), catalog=catalog))


def execute(loader: Loader, *statements: str) -> None:
    """Run SQL on a loader's database."""
    if loader.name == "target-duckdb":
        with closing(duckdb.connect(loader.settings["path"])) as database:
            for statement in statements:
                database.execute(statement)
    else:
        with psycopg.connect(loader.settings["sqlalchemy_url"].replace("+psycopg", "")) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@each(*LOADERS)
def test_a_table_that_holds_what_the_space_has_is_said_to(loader: Loader, space: Simulator) -> None:
    odd: list[dict[str, Any]] = [
        {"error_message": "", "charge": Decimal("0.000001"), "charge_details": []},
        {"error_message": 'grüße \U0001f600 \0 "quoted", \r\n lines \\ and\ttabs', "charge": Decimal("123456.654321")},
        {"charge_details": [{"description": 'a, "b"', "charge": Decimal("0.1")}, {"description": "", "charge": 0}]},
        dict.fromkeys(("from", "to", "status", "charge", "number_of_segments", "charge_details")),
        dict.fromkeys(("error_message", "url", "charge", "charge_details", "kind"), MISSING),
        {"from": "anonymous", "error_message": " blank at both ends ", "kind": "NULL"},
    ]
    for fields in odd:
        space.add(fields)
    load(loader, space)
    verdict = loader.verify(space)
    assert (verdict.code, verdict.counts) == (0, {"equal": 306, **NOTHING}), verdict.stdout + verdict.log


@each("target-duckdb", "target-postgres")
def test_rows_that_are_missing_stale_or_out_of_their_time_are_named(loader: Loader, space: Simulator) -> None:
    load(loader, space)
    lost, cheap, moved, elsewhere, quiet = sorted(space.truth())[:5]
    table = "signalwire.message_logs"
    execute(
        loader,
        f"delete from {table} where id = '{lost}'",
        f"update {table} set charge = charge + 0.000001, status = 'odd' where id = '{cheap}'",
        f"update {table} set created_at = created_at - interval '4 hours' where id = '{moved}'",
        f"update {table} set created_at = created_at - interval '90 years' where id = '{elsewhere}'",
        f"update {table} set \"to\" = '+12025550123' where id = '{quiet}'",
    )
    verdict = loader.verify(space)
    assert verdict.code == 1
    assert verdict.counts == {"equal": 295, "missing": 1, "stale": 4, "doubled": 0, "gone": 0}
    assert [line.split()[0] for line in verdict.named("missing")] == [lost]
    told = {line.split()[0]: line.partition("): ")[2] for line in verdict.named("stale")}
    assert set(told) == {cheap, moved, elsewhere, quiet}
    assert told[cheap].startswith(f"status is odd, in the Space {space.truth()[cheap]['status']}; charge is ")
    assert told[moved].endswith(f"in the Space {space.truth()[moved]['created_at']}")
    assert told[elsewhere].startswith("created_at is 19")
    assert told[quiet] == "to differs"
    assert not re.search(r"\+\d{6}", verdict.stdout + verdict.log)


@each("target-duckdb", "target-postgres")
def test_a_second_row_of_a_log_is_doubled(loader: Loader, space: Simulator) -> None:
    load(loader, space)
    twice = min(space.truth())
    table = "signalwire.message_logs"
    execute(
        loader,
        f"create table signalwire.copied as select * from {table}",
        f"drop table {table}",
        "alter table signalwire.copied rename to message_logs",
        f"insert into {table} select * from {table} where id = '{twice}'",
    )
    verdict = loader.verify(space)
    assert (verdict.code, verdict.counts) == (1, {"equal": 300, **NOTHING, "doubled": 1})
    assert verdict.named("doubled")[0].startswith(twice)


@each(*LOADERS)
def test_a_row_of_a_log_that_the_space_has_no_more_is_gone_and_no_fault(loader: Loader, space: Simulator) -> None:
    load(loader, space)
    deleted = sorted(space.truth())[:12]
    for log_id in deleted:
        space.delete(log_id)
    verdict = loader.verify(space)
    assert (verdict.code, verdict.counts) == (0, {"equal": 288, **NOTHING, "gone": 12})
    assert verdict.named("gone")[-1] == "and 2 more"
    assert {line.split()[0] for line in verdict.named("gone")[:-1]} == set(deleted[:10])


@each("target-jsonl")
def test_the_last_line_of_an_id_counts_and_the_others_are_no_doubles(loader: Loader, space: Simulator) -> None:
    load(loader, space)
    space.advance(hours=8)
    assert loader.verify(space).counts["stale"]
    load(loader, space)
    verdict = loader.verify(space)
    assert (verdict.code, verdict.counts) == (0, {"equal": len(space.truth()), **NOTHING})
    last = max(space.truth())
    delete_lines(loader.folder, last)
    verdict = loader.verify(space)
    assert (verdict.code, verdict.counts["missing"], verdict.named("missing")[0].split()[0]) == (1, 1, last)


@each(*LOADERS)
def test_only_the_range_is_compared(loader: Loader, space: Simulator) -> None:
    load(loader, space)
    created = sorted(record["created_at"] for record in space.truth().values())
    start, end = created[100], created[200]
    within = sum(start <= instant < end for instant in created)
    verdict = loader.verify(space, "--start", start, "--end", end)
    assert (verdict.code, verdict.counts) == (0, {"equal": within, **NOTHING})


@each(*LOADERS)
def test_logs_that_a_file_names_are_compared_by_their_gets(loader: Loader, space: Simulator, tmp_path: Path) -> None:
    load(loader, space)
    ids = sorted(space.truth())[10:30]
    (tmp_path / "some").write_text("# some\n" + "\n".join(reversed(ids)), encoding="utf-8")
    space.clear_requests()
    verdict = loader.verify(space, "--ids", "some")
    assert (verdict.code, verdict.counts) == (0, {"equal": 20, **NOTHING})
    assert len(space.gets()) == 20
    new = space.add({})
    (tmp_path / "some").write_text("\n".join([new, *ids]), encoding="utf-8")
    verdict = loader.verify(space, "--ids", "some")
    assert (verdict.code, verdict.counts) == (1, {"equal": 20, **NOTHING, "missing": 1})
    assert verdict.named("missing")[0].startswith(new)


@each("target-duckdb", "target-postgres")
def test_every_family_is_compared(loader: Loader, tmp_path: Path) -> None:
    families = {stream: 60 for stream in STREAMS if stream not in {"message_logs", "voice_log_events"}}
    with Simulator(messages=60, seed=7, days=3, families=families) as sim:
        load(loader, sim, *STREAMS)
        streams = [option for stream in STREAMS for option in ("--stream", stream)]
        verdict = loader.verify(sim, *streams)
        assert verdict.code == 0, verdict.stdout + verdict.log
        assert verdict.stdout.count("  equal ") == len(STREAMS)
        log_id, position = min(sim.truth(family="voice_log_events"))
        execute(loader, f"delete from signalwire.voice_log_events where log_id = '{log_id}' and position = {position}")
        verdict = loader.verify(sim, "--stream", "voice_log_events")
        assert (verdict.code, verdict.counts["missing"]) == (1, 1)
        assert verdict.named("missing")[0].startswith(f"{log_id} {position} (")
        (tmp_path / "calls").write_text(log_id, encoding="utf-8")
        verdict = loader.verify(sim, "--stream", "voice_log_events", "--ids", "calls")
        assert (verdict.code, verdict.counts["missing"]) == (1, 1)


def test_the_row_that_target_duckdb_loses_with_a_newer_duckdb_is_found(space: Simulator, tmp_path: Path) -> None:
    commands = environment_of("target-duckdb-newer", "target-duckdb==0.8.0", "duckdb==1.3.2", python=BELOW_3_14)
    settings = {"path": str(tmp_path / "lossy.duckdb"), "default_target_schema": "signalwire"}
    loader = Loader("target-duckdb", commands, tmp_path, settings)
    load(loader, space)
    verdict = loader.verify(space)
    assert (verdict.code, verdict.counts) == (1, {"equal": 299, **NOTHING, "missing": 1})


@each("target-postgres")
def test_times_that_landed_in_the_database_s_own_zone_are_stale(loader: Loader, space: Simulator) -> None:
    execute(loader, "alter database postgres set timezone to 'America/New_York'")
    try:
        load(loader, space)
        verdict = loader.verify(space)
    finally:
        execute(loader, "alter database postgres reset timezone")
    assert (verdict.code, verdict.counts) == (1, {"equal": 0, **NOTHING, "stale": 300})
    assert all(re.search(r": created_at is \S+, in the Space \S+$", line) for line in verdict.named("stale")[:10])


@each("target-duckdb")
def test_columns_that_a_stream_map_changed_are_compared_as_they_were_loaded(loader: Loader, space: Simulator) -> None:
    maps = {
        "stream_maps": {"message_logs": {"to": "sha256(config['salt'] + record['to'])", "from": "__NULL__"}},
        "stream_map_config": {"salt": "s"},
    }
    load(loader, space, **maps)
    assert loader.verify(space, config=maps).counts == {"equal": 300, **NOTHING}
    verdict = loader.verify(space)
    assert verdict.counts["stale"] == 300
    assert "the table has no from: not compared" in verdict.stdout


@each("target-duckdb")
def test_a_side_that_can_t_be_read_whole_is_neither_true_nor_false(loader: Loader, space: Simulator) -> None:
    verdict = loader.verify(space)
    assert (verdict.code, verdict.stdout) == (2, "")
    assert "there is no file" in verdict.log
    load(loader, space)
    verdict = loader.verify(space, "--stream", "fax_logs")
    assert (verdict.code, verdict.stdout) == (2, "")
    assert "there is no table signalwire.fax_logs" in verdict.log
    space.fault("status", status=403)
    verdict = loader.verify(space)
    assert (verdict.code, verdict.stdout) == (2, "")
    assert "Messaging" in verdict.log
    assert "nothing is known of the table" in verdict.log
    assert space.api_token not in verdict.log


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param(["target-duckdb"], "--start or --ids is needed", id="neither range nor IDs"),
        pytest.param(["--start", "soon", "target-duckdb"], "no date or date-time", id="no date"),
        pytest.param(
            ["--start", "2026-01-02", "--end", "2026-01-01", "target-duckdb"], "is not before", id="an empty range"
        ),
        pytest.param(["--start", "2026-01-01", "target-snowflake"], "is none of target-duckdb", id="another loader"),
        pytest.param(["--ids", "x", "--start", "2026-01-01", "target-duckdb"], "takes no --start", id="both"),
    ],
)
def test_options_that_can_t_be_right_are_refused(options: list[str], why: str, tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert why in done.stderr


@pytest.mark.parametrize("is_there", [True, False], ids=["not executable", "not there"])
def test_a_meltano_that_can_t_be_run_is_named_with_what_to_do(is_there: bool, sim: Simulator, tmp_path: Path) -> None:
    meltano = tmp_path / "meltano"
    if is_there:
        meltano.touch()
    config = write_json(tmp_path / "config.json", config_for(sim))
    variables = environment(MELTANO_PROJECT_ROOT=str(tmp_path), MELTANO_EXECUTABLE=str(meltano))
    command = [*COMMAND, "--config", config, "--start", "2026-01-01", "target-duckdb"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 2
    assert f"{meltano}: not found, or not executable; set MELTANO_EXECUTABLE" in done.stderr


def test_the_document_names_every_option() -> None:
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    table = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8").partition("## Options")[2].partition("\n## ")[0]
    rows = "\n".join(re.findall(r"^\| `.+?\|", table, re.MULTILINE))
    assert set(re.findall(r"--[a-z-]+", rows)) == set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help"}


def test_meltano_s_command_knows_the_loader_s_settings_and_its_python(pipeline: Pipeline, space: Simulator) -> None:
    pipeline.forget()
    pipeline.run(space, "target-duckdb")
    arguments = ("invoke", "tap-signalwire-logs:verify", "--start", "2000-01-01")
    end = (space.clock + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    log = pipeline.meltano(*arguments, "--end", end, "target-duckdb", **credentials(space))
    assert re.search(r"equal +300$", log, re.MULTILINE)
    with closing(duckdb.connect(str(pipeline.database))) as database:
        database.execute("delete from signalwire.message_logs where id = ?", [min(space.truth())])
    with pytest.raises(RuntimeError, match=rf"(?s)ended with 1:.*missing +1 .*{min(space.truth())}"):
        pipeline.meltano(*arguments, "target-duckdb", **credentials(space))
