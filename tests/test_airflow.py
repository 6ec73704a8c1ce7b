"""The DAGs on a real Airflow, into a real PostgreSQL, against the Space's truth."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.simulator import Simulator
from tests.support import warm
from tests.support.airflow import TIMEOUT_SECONDS, Airflow, settings
from tests.support.environments import AIRFLOW, AIRFLOW_2, environment_of
from tests.support.pipeline import MELTANO, ROOT, Pipeline
from tests.support.postgres import records_of, rows_of
from tests.support.run import output_of, with_scripts

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

DAYS = 4
# Young enough for logs that change, and no hour begins on a second that anything else begins on.
NOW = datetime.now(timezone.utc).replace(minute=30, second=0, microsecond=0) - timedelta(hours=7)
RANGE = {"start": (NOW - timedelta(days=DAYS)).isoformat(), "end": (NOW + timedelta(seconds=1)).isoformat()}
CONCURRENCY = 4
RUN = "the-run"


@pytest.fixture(scope="module")
def commands() -> Path:
    return environment_of(*AIRFLOW)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline.shared(tmp_path_factory.mktemp("project"), "target-postgres", "dbt-postgres")


@pytest.fixture
def space() -> Iterator[Simulator]:
    with Simulator(messages=600, seed=3, days=DAYS, clock=NOW) as sim:
        yield sim


@pytest.fixture
def airflow(commands: Path, pipeline: Pipeline, postgres: str, space: Simulator, tmp_path: Path) -> Airflow:
    pipeline.forget()
    variables = {
        "SIGNALWIRE_SPACE": space.space,
        "SIGNALWIRE_PROJECT_ID": space.project_id,
        "SIGNALWIRE_API_TOKEN": space.api_token,
        "TAP_SIGNALWIRE_LOGS_CONCURRENCY": str(CONCURRENCY),
        "TARGET_POSTGRES_SQLALCHEMY_URL": postgres,
    }
    airflow = Airflow(commands, tmp_path, pipeline.folder, variables)
    airflow.set_up()
    return airflow


def test_every_schedule_of_meltano_is_a_dag(airflow: Airflow, pipeline: Pipeline) -> None:
    log = pipeline.meltano("schedule", "list", "--format=json")
    listed = json.loads(log[log.index("{\n") :])
    expected = {f"meltano_{one['name'].replace('-', '_')}" for one in listed["schedules"]["job"]}
    airflow.run("dags", "reserialize")
    shown = {dag["dag_id"] for dag in json.loads(airflow.run("dags", "list", "-o", "json").splitlines()[-1])}
    assert shown == expected | {"signalwire_backfill"}
    assert "No data found" in airflow.run("dags", "list-import-errors")


def test_a_schedule_s_dag_brings_what_is_new_each_time(airflow: Airflow, postgres: str, space: Simulator) -> None:
    airflow.run("dags", "test", "meltano_messages_to_postgres")
    assert records_of(postgres) == space.truth()
    before = space.truth(include_deleted=True)
    space.advance(hours=6)
    space.clear_requests()
    airflow.run("dags", "test", "meltano_messages_to_postgres")
    records, truth = records_of(postgres), space.truth()
    assert {log_id: records[log_id] for log_id in truth} == truth
    assert set(truth) - set(before)
    assert len(space.gets()) < len(before) / 2
    with psycopg.connect(postgres) as connection:
        built = connection.execute("select count(*) from analytics.message_enhanced").fetchone()
    assert built == (len(records),), "the models are built after the load"


def test_a_backfill_lands_whole_and_says_so_only_then(airflow: Airflow, postgres: str, space: Simulator) -> None:
    conf = json.dumps({**RANGE, "window_hours": 96})
    log = airflow.run("dags", "test", "signalwire_backfill", "--conf", conf)
    truth = space.truth()
    assert records_of(postgres) == truth
    assert re.search(rf"equal +{len(truth)}\b", log)
    lost = min(truth)
    with psycopg.connect(postgres) as connection:
        connection.execute("delete from signalwire.message_logs where id = %s", [lost])
    with pytest.raises(RuntimeError, match=rf"(?s)missing +1 .*{lost}"):
        airflow.run("dags", "test", "signalwire_backfill", "--conf", conf)
    airflow.run("dags", "test", "signalwire_backfill", "--conf", json.dumps({**RANGE, "window_hours": 96, "name": "b"}))
    assert records_of(postgres) == truth


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Airflow 2.10 does not run on Python 3.13")
def test_the_backfill_works_on_airflow_2_10(airflow: Airflow, postgres: str, space: Simulator) -> None:
    old = environment_of(*AIRFLOW_2)
    home = airflow.home / "old"
    home.mkdir()
    variables = {**airflow.variables, "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor"}
    airflow = Airflow(old, home, airflow.project, variables)
    airflow.set_up()
    assert "No data found" in airflow.run("dags", "list-import-errors")
    airflow.run("dags", "test", "signalwire_backfill", "--conf", json.dumps({**RANGE, "window_hours": 96}))
    assert records_of(postgres) == space.truth()


def test_a_killed_window_runs_again_and_the_table_equals_a_single_run_s(
    airflow: Airflow, pipeline: Pipeline, postgres: str, space: Simulator, tmp_path: Path
) -> None:
    # What is killed is a group of processes, and no fork of another one is in it.
    may_be_killed = f'test "${{STATE_SUFFIX#backfill-}}" != "$STATE_SUFFIX" -a ! -e {quote(str(tmp_path / "killed"))}'
    variables = {**airflow.variables, "MELTANO_EXECUTABLE": str(warm.as_ever(MELTANO, tmp_path, may_be_killed))}
    airflow = replace(airflow, variables=variables)
    single = {"TARGET_POSTGRES_SQLALCHEMY_URL": postgres, "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "single"}
    pipeline.run(space, "target-postgres", **single)
    space.latency = 1.0  # as long as it takes until both windows are read
    airflow.run("dags", "reserialize")
    airflow.run("dags", "unpause", "signalwire_backfill")
    with airflow.running():
        airflow.run(
            "dags",
            "trigger",
            "signalwire_backfill",
            "--run-id",
            RUN,
            "--conf",
            json.dumps({**RANGE, "window_hours": 48}),
        )
        _kill_a_window(airflow, space)
        (tmp_path / "killed").touch()
        state = airflow.wait_for("signalwire_backfill", RUN)
        assert state == "success", airflow.logs()
    tries = sorted(
        path.name for path in airflow.home.glob(f"logs/dag_id=*/run_id={RUN}/task_id=window/*/attempt=*.log")
    )
    windows = DAYS // 2 + 1
    assert tries == ["attempt=1.log"] * windows + ["attempt=2.log"]
    assert records_of(postgres) == space.truth()
    assert rows_of(postgres) == rows_of(postgres, "single")


OPERATOR = """
import json, sys
sys.path.insert(0, sys.argv[1])
from airflow.exceptions import AirflowException, AirflowFailException
from meltano_operator import MeltanoOperator
outcomes = {}
for code in (0, 1, 78, 126, 127, 143):
    try:
        MeltanoOperator(task_id="run", bash_command=f"exit {code}", retries=3).execute({})
        outcomes[code] = "success"
    except AirflowFailException:
        outcomes[code] = "failed at once"
    except AirflowException:
        outcomes[code] = "tried again"
print(json.dumps(outcomes))
"""
RENDERED = """
import json, sys
sys.path.insert(0, sys.argv[1])
from meltano_operator import MeltanoOperator
operator = MeltanoOperator(task_id="run", bash_command="true", env=json.loads(sys.argv[2]))
operator.render_template_fields({})
print(json.dumps(operator.env))
"""
LOADED = """
import json, runpy, sys
found = {}
for path in sys.argv[1:]:
    try:
        values = runpy.run_path(path).values()
        found[path] = sorted({value.dag_id for value in values if hasattr(value, "dag_id") and hasattr(value, "tasks")})
    except RuntimeError as error:
        found[path] = str(error)
print(json.dumps(found))
"""


def test_what_no_retry_mends_fails_at_once(commands: Path, tmp_path: Path) -> None:
    outcomes = _in_airflow(commands, tmp_path, OPERATOR, str(ROOT / "orchestrate" / "dags"))
    assert outcomes == {
        "0": "success",
        "1": "tried again",
        "143": "tried again",
        **dict.fromkeys(("78", "126", "127"), "failed at once"),
    }


def test_a_variable_may_name_a_script(commands: Path, tmp_path: Path) -> None:
    named = {"MELTANO_EXECUTABLE": "/opt/meltano.sh", "BASH_ENV": "own.bash"}
    dags = str(ROOT / "orchestrate" / "dags")
    assert _in_airflow(commands, tmp_path, RENDERED, dags, json.dumps(named)) == named


@pytest.mark.parametrize(
    ("project", "schedules", "backfill"),
    [
        pytest.param(None, ["meltano_messages_to_bigquery", "meltano_messages_to_postgres"], True, id="this project"),
        pytest.param("plugins: {loaders: [{name: target-x}]}", [], False, id="a project with no loader to check"),
        pytest.param("project_id: x", [], False, id="an empty project"),
    ],
)
def test_the_dags_load_through_a_link_in_airflow_s_folder(
    project: str | None, schedules: list[str], backfill: bool, commands: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dags" / "below" / "signalwire"
    folder.parent.mkdir(parents=True)
    folder.symlink_to(ROOT / "orchestrate" / "dags")
    variables = {}
    if project:
        (tmp_path / "meltano.yml").write_text(project, encoding="utf-8")
        variables["MELTANO_PROJECT_ROOT"] = str(tmp_path)
    files = [str(folder / name) for name in ("meltano_schedules.py", "backfill.py")]
    found = _in_airflow(commands, tmp_path, LOADED, *files, **variables)
    # The last schedule's DAG is there under two names.
    assert [found[file] for file in files] == [schedules, ["signalwire_backfill"] if backfill else []]


def test_a_dag_without_its_project_names_the_variable(commands: Path, tmp_path: Path) -> None:
    file = str(ROOT / "orchestrate" / "dags" / "meltano_schedules.py")
    found = _in_airflow(commands, tmp_path, LOADED, file, MELTANO_PROJECT_ROOT=str(tmp_path / "nowhere"))
    assert "set MELTANO_PROJECT_ROOT" in found[file]


def _in_airflow(commands: Path, home: Path, script: str, *arguments: str, **variables: str) -> Any:
    """Run a script with Airflow's Python; gives the JSON of its last line."""
    (home / "airflow_script.py").write_text(script, encoding="utf-8")
    command: list[str | Path] = [commands / "python", "-m", "airflow_script", *arguments]
    output = output_of(command, home, with_scripts(**settings(home), **variables), TIMEOUT_SECONDS)
    return json.loads(output.strip().splitlines()[-1])


def _kill_a_window(airflow: Airflow, space: Simulator) -> None:
    """End the tap, the loader, Meltano and their shell of a window with SIGKILL while two windows are read at once."""
    space.clear_requests()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(space.gets()) < 40 or space.max_in_flight <= CONCURRENCY or not (taps := _taps(airflow.project)):
        assert time.monotonic() < deadline, airflow.logs()
        time.sleep(0.05)
    os.killpg(os.getpgid(taps[0]), signal.SIGKILL)
    space.latency = 0.0


def _taps(project: Path) -> list[int]:
    """Processes of the tap that read a window for this project."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, variables = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        is_tap = b"/bin/tap-signalwire-logs\0" in command and b"--discover" not in command
        if (
            is_tap
            and f"MELTANO_PROJECT_ROOT={project}\0".encode() in variables
            and b"STATE_SUFFIX=backfill" in variables
        ):
            found.append(int(process.name))
    return sorted(found)
