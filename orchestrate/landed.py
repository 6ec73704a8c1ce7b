"""Prints `created_at id` of the logs that a loader's table holds in [start, end), in that order: one line for each row.

Meltano runs it as the loader's command `landed`, with the loader's own Python and settings. BigQuery's table is
appended to, so there a log counts once; elsewhere a log that is there twice is printed twice.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

TABLE = "message_logs"


def main() -> None:
    """Print the rows."""
    kind, start, end = sys.argv[1:]
    # Without a zone, in UTC: as the tables hold it.
    span = tuple(datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None) for text in (start, end))
    for created, log_id in READERS[kind](*span):
        sys.stdout.write(f"{created.replace(tzinfo=timezone.utc).isoformat()} {log_id}\n")


def postgres(start: datetime, end: datetime) -> Iterable[Any]:
    """Rows of a PostgreSQL table."""
    import sqlalchemy  # noqa: PLC0415 - the loader brings it

    url = os.environ.get("TARGET_POSTGRES_SQLALCHEMY_URL")
    made = (
        sqlalchemy.make_url(url).set(drivername="postgresql+psycopg")
        if url
        else sqlalchemy.URL.create(
            "postgresql+psycopg",
            os.environ["TARGET_POSTGRES_USER"],
            os.environ["TARGET_POSTGRES_PASSWORD"],
            os.environ["TARGET_POSTGRES_HOST"],
            int(os.environ["TARGET_POSTGRES_PORT"]),
            os.environ["TARGET_POSTGRES_DATABASE"],
        )
    )
    schema = os.environ["TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA"]
    table = sqlalchemy.table(TABLE, sqlalchemy.column("created_at"), sqlalchemy.column("id"), schema=schema)
    query = (
        sqlalchemy.select(table.c.created_at, table.c.id)
        .where(table.c.created_at >= start, table.c.created_at < end)
        .order_by(table.c.created_at, table.c.id)
    )
    engine = sqlalchemy.create_engine(made)
    with engine.connect() as connection:
        yield from connection.execution_options(stream_results=True).execute(query)
    engine.dispose()


def bigquery(start: datetime, end: datetime) -> Iterable[Any]:
    """Logs of a BigQuery table."""
    from google.cloud import bigquery as service  # noqa: PLC0415 - the loader brings it

    project, dataset = os.environ["TARGET_BIGQUERY_PROJECT"], os.environ["TARGET_BIGQUERY_DATASET"]
    utc = [
        service.ScalarQueryParameter(None, "TIMESTAMP", instant.replace(tzinfo=timezone.utc))
        for instant in (start, end)
    ]
    client = _client(service.Client, project)
    yield from client.query_and_wait(
        f"select distinct created_at, id from `{project}.{dataset}.{TABLE}` "  # noqa: S608 - the operator's own names
        "where created_at >= ? and created_at < ? order by created_at, id",
        job_config=service.QueryJobConfig(query_parameters=utc),
    )


def _client(made: Any, project: str) -> Any:
    if text := os.environ.get("TARGET_BIGQUERY_CREDENTIALS_JSON"):
        return made.from_service_account_info(json.loads(text), project=project)
    if path := os.environ.get("TARGET_BIGQUERY_CREDENTIALS_PATH"):
        return made.from_service_account_json(path, project=project)
    return made(project=project)


READERS = {"postgres": postgres, "bigquery": bigquery}

if __name__ == "__main__":
    main()
