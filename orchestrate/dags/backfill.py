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
    backfill_windows,
    check,
    checked_loaders,
    parse_instant,
    table_window,
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


def backfill(loaders: list[str]) -> DAG:
    """Make the DAG, for loaders whose table can be checked."""
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

        @task
        def nothing_is_missing(windows: list[dict[str, str]]) -> None:
            """Compare the logs that the Space lists in the range with the rows of the table."""
            start = windows[0]["TAP_SIGNALWIRE_LOGS_START_DATE"]
            end = windows[-1]["TAP_SIGNALWIRE_LOGS_END_DATE"]
            comparison = check(start, end, windows[0]["LOADER"])
            logger.info(
                "%d logs are listed from %s to %s, and each is in the table once; "
                "%d more rows are of logs that are gone",
                comparison.listed,
                start,
                end,
                comparison.no_longer_listed,
            )

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
        make_table >> window >> nothing_is_missing(windows)
    return made


if checkable := checked_loaders():
    dag = backfill(checkable)
else:
    logger.info(
        "No loader of %s has a command `landed` that lists its table: there is no DAG signalwire_backfill", PROJECT
    )
