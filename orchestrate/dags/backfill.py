"""A range of history read by many workers at once, in windows; at the end, what landed is compared with the Space."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone
from pathlib import Path

# Below the folder of DAGs this one may have any name, and only the former is on Python's path.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from meltano_operator import MeltanoOperator
from meltano_project import (
    ENVIRONMENT,
    MELTANO_COMMAND,
    PROJECT,
    RETRIES,
    RETRY_DELAY,
    TAP,
    WINDOWS_AT_ONCE,
    YOUNG,
    backfill_loaders,
    backfill_windows,
    parse_instant,
    table_window,
    whole_range,
)

try:
    from airflow.sdk import DAG, Param, get_current_context, task
except ImportError:  # Airflow 2.10
    from airflow import DAG
    from airflow.decorators import task
    from airflow.models.param import Param
    from airflow.operators.python import get_current_context

logger = logging.getLogger(__name__)

# `--force`: as with the schedules, a killed try must not bar the next.
COMMAND = f'{MELTANO_COMMAND} run --force --state-id-suffix="$STATE_SUFFIX" {TAP} "$LOADER"'
VERIFY = f'{MELTANO_COMMAND} invoke {TAP}:verify --start="$RANGE_START" --end="$RANGE_END" "$LOADER"'


def backfill(loaders: list[str]) -> DAG:
    """Make the DAG, for loaders that take several writers at once."""
    with DAG(
        dag_id="signalwire_backfill",
        description="Message logs of a range of time, in windows, on every worker that there is",
        schedule=None,
        start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
        catchup=False,
        max_active_runs=1,
        default_args={"retries": RETRIES, "retry_delay": RETRY_DELAY},
        tags=["meltano", "signalwire"],
        params={
            "start": Param(
                "2026-01-01",
                type="string",
                description="Logs created at or after this date or date-time (ISO 8601, UTC)",
            ),
            "end": Param(
                "",
                type="string",
                description="Logs created before this; empty: three days ago, since younger logs still change",
            ),
            "window_hours": Param(24, type="integer", minimum=1, description="Hours of history for each task"),
            "loader": Param(loaders[0], type="string", enum=loaders),
            "name": Param(
                "backfill",
                type="string",
                pattern="^[A-Za-z0-9_-]+$",
                description="The same name goes on where it ended; another name reads the range anew",
            ),
        },
    ) as made:

        @task(retries=0)
        def cut() -> list[dict[str, str]]:
            """Cut the range into windows, each the environment of one task."""
            params = get_current_context()["params"]
            windows = backfill_windows(params["start"], params["end"], params["window_hours"], name=params["name"])
            end = parse_instant(windows[-1]["TAP_SIGNALWIRE_LOGS_END_DATE"])
            if end > datetime.now(timezone.utc) - YOUNG:
                logger.warning(
                    "Logs of the last %s may still change: run this backfill again when they are older", YOUNG
                )
            return [{**ENVIRONMENT, **window, "LOADER": params["loader"]} for window in windows]

        windows = cut()
        make_table = MeltanoOperator(
            task_id="make_table",
            bash_command=COMMAND,
            env=task(table_window)(windows),
            append_env=True,
            do_xcom_push=False,
        )
        window = MeltanoOperator.partial(
            task_id="window",
            bash_command=COMMAND,
            append_env=True,
            do_xcom_push=False,
            max_active_tis_per_dagrun=WINDOWS_AT_ONCE,
            map_index_template="{{ task.env['TAP_SIGNALWIRE_LOGS_START_DATE'] }}",
        ).expand(env=windows)
        verify = MeltanoOperator(
            task_id="verify",
            bash_command=VERIFY,
            env=task(whole_range)(windows),
            append_env=True,
            do_xcom_push=False,
        )
        make_table >> window >> verify
    return made


if loaders := backfill_loaders():
    dag = backfill(loaders)
else:
    logger.info("No loader of %s takes several writers at once: there is no DAG signalwire_backfill", PROJECT)
