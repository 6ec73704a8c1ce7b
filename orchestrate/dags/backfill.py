"""A range of history read by many workers at once, in windows; at the end, what landed is compared with the Space."""

from __future__ import annotations

import logging
from datetime import datetime, timezone

from meltano_project import (
    ENVIRONMENT,
    MELTANO_COMMAND,
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
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG, Param, get_current_context, task
except ImportError:  # Airflow 2.10
    from airflow import DAG
    from airflow.decorators import task
    from airflow.models.param import Param
    from airflow.operators.bash import BashOperator
    from airflow.operators.python import get_current_context

logger = logging.getLogger(__name__)

# `--force`: as with the schedules, a killed try must not bar the next.
COMMAND = f'{MELTANO_COMMAND} run --force --state-id-suffix="$STATE_SUFFIX" {TAP} "$LOADER"'
VERIFY = f'{MELTANO_COMMAND} invoke {TAP}:verify --start="$RANGE_START" --end="$RANGE_END" "$LOADER"'

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
            "2026-01-01", type="string", description="Logs created at or after this date or date-time (ISO 8601, UTC)"
        ),
        "end": Param(
            "",
            type="string",
            description="Logs created before this; empty: three days ago, since younger logs still change",
        ),
        "window_hours": Param(24, type="integer", minimum=1, description="Hours of history for each task"),
        "loader": Param(backfill_loaders()[0], type="string", enum=backfill_loaders()),
        "name": Param(
            "backfill",
            type="string",
            pattern="^[A-Za-z0-9_-]+$",
            description="The same name goes on where it ended; another name reads the range anew",
        ),
    },
) as dag:

    @task(retries=0)
    def cut() -> list[dict[str, str]]:
        """Cut the range into windows, each the environment of one task."""
        params = get_current_context()["params"]
        windows = backfill_windows(params["start"], params["end"], params["window_hours"], name=params["name"])
        end = parse_instant(windows[-1]["TAP_SIGNALWIRE_LOGS_END_DATE"])
        if end > datetime.now(timezone.utc) - YOUNG:
            logger.warning("Logs of the last %s may still change: run this backfill again when they are older", YOUNG)
        return [{**ENVIRONMENT, **window, "LOADER": params["loader"]} for window in windows]

    windows = cut()
    make_table = BashOperator(
        task_id="make_table",
        bash_command=COMMAND,
        env=task(table_window)(windows),
        append_env=True,
        do_xcom_push=False,
    )
    window = BashOperator.partial(
        task_id="window",
        bash_command=COMMAND,
        append_env=True,
        do_xcom_push=False,
        max_active_tis_per_dagrun=WINDOWS_AT_ONCE,
        map_index_template="{{ task.env['TAP_SIGNALWIRE_LOGS_START_DATE'] }}",
    ).expand(env=windows)
    verify = BashOperator(
        task_id="verify",
        bash_command=VERIFY,
        env=task(whole_range)(windows),
        append_env=True,
        do_xcom_push=False,
    )
    make_table >> window >> verify
