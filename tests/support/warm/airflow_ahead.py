"""What a run of Airflow imports and makes before it does anything, for a warm process that has the run's settings."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any

MODULES = (
    *("airflow.__main__", "airflow.cli.commands.dag_command", "airflow.cli.commands.db_command"),
    *("airflow.api.client.local_client", "airflow.dag_processing.dagbag", "airflow.models.serialized_dag"),
    *("airflow.providers.standard.operators.bash", "airflow.sdk.execution_time.supervisor", "airflow.utils.cli"),
    *("airflow.serialization.serialized_objects", "airflow.timetables.interval", "airflow.timetables.trigger"),
    # Airflow 2.10
    *("airflow.decorators", "airflow.operators.bash", "airflow.operators.python"),
)


def make_execution_api() -> None:
    """Make the API that tasks report to, which takes seconds and knows nothing of a run, for the first that asks."""
    api: Any = importlib.import_module("airflow.api_fastapi.execution_api.app")
    make = api.create_task_execution_api_app
    made = [make()]
    made[0]._cadwyn_initialize()  # as its first request would

    def create_task_execution_api_app(lifespan: Any = api.lifespan) -> Any:
        if not made:
            return make(lifespan=lifespan)
        app = made.pop()
        app.router.lifespan_context = lifespan
        return app

    api.create_task_execution_api_app = create_task_execution_api_app


for module in MODULES:
    with suppress(ImportError):  # another version may do without it
        importlib.import_module(module)
with suppress(ImportError, AttributeError, TypeError):
    make_execution_api()
