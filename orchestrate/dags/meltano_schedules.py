"""A DAG for each schedule in `meltano.yml`: one run at a time, each try goes on from Meltano's state."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path

# Below the folder of DAGs this one may have any name, and only the former is on Python's path.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from meltano_operator import MeltanoOperator
from meltano_project import ENVIRONMENT, MELTANO_COMMAND, RETRIES, RETRY_DELAY, schedules

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2.10
    from airflow import DAG

NOT_SCHEDULED = {None, "@manual", "@none", "@once"}

# A try that was killed leaves its mark in Meltano's database, where it would bar the next for five minutes; that no
# two run at once is Airflow's to see to, so `--force`.
COMMAND = f'{MELTANO_COMMAND} run --force "$JOB"'

for schedule in schedules():
    interval = schedule.get("interval")
    with DAG(
        dag_id=f"meltano_{schedule['name']}".replace("-", "_"),
        description=f"meltano run {schedule['job']}",
        schedule=None if interval in NOT_SCHEDULED else interval,
        start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
        catchup=False,
        max_active_runs=1,
        tags=["meltano", "signalwire"],
    ) as dag:
        MeltanoOperator(
            task_id="run",
            bash_command=COMMAND,
            env={**ENVIRONMENT, **(schedule.get("env") or {}), "JOB": schedule["job"]},
            append_env=True,
            do_xcom_push=False,
            retries=RETRIES,
            retry_delay=RETRY_DELAY,
            retry_exponential_backoff=True,
        )
    globals()[dag.dag_id] = dag
