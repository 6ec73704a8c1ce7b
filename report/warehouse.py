"""Rows of the models, from DuckDB or PostgreSQL, by the same variables that the dbt profile reads."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Row = dict[str, Any]


@dataclass(frozen=True)
class Warehouse:
    """A connection, and the schema that the models are in."""

    schema: str
    execute: Callable[[str], Any]

    def rows(self, query: str) -> list[Row]:
        """Rows of a query, in which `{schema}` stands for the schema."""
        cursor = self.execute(query.format(schema=_quoted(self.schema)))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def has_models(self) -> bool:
        """Whether the schema holds the models."""
        schema = self.schema.replace("'", "''")
        tables = "select 1 from information_schema.tables where table_name = 'daily_delivery'"
        return bool(self.execute(f"{tables} and table_schema = '{schema}'").fetchall())


@contextmanager
def connect() -> Iterator[Warehouse]:
    """The warehouse that SIGNALWIRE_DBT_TARGET names, read-only, until the context closes."""
    if os.environ.get("SIGNALWIRE_DBT_TARGET", "duckdb") == "postgres":
        yield from _postgres()
    else:
        yield from _duckdb()


def _duckdb() -> Iterator[Warehouse]:
    import duckdb

    with duckdb.connect(os.environ["DBT_DUCKDB_PATH"], read_only=True) as connection:
        yield Warehouse(os.environ.get("DBT_DUCKDB_SCHEMA", "analytics"), connection.execute)


def _postgres() -> Iterator[Warehouse]:
    import psycopg2

    url = os.environ.get("DBT_POSTGRES_SQLALCHEMY_URL", "")
    if "://" in url:
        # SQLAlchemy names the driver in the scheme; libpq knows none.
        connection = psycopg2.connect("postgresql://" + url.partition("://")[2])
    else:
        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DATABASE"}
        told = {name: os.environ.get(f"DBT_POSTGRES_{variable}") for name, variable in names.items()}
        connection = psycopg2.connect(**{name: value for name, value in told.items() if value})
    connection.set_session(readonly=True)

    def execute(query: str) -> Any:
        cursor = connection.cursor()
        cursor.execute(query)
        return cursor

    try:
        yield Warehouse(os.environ.get("DBT_POSTGRES_SCHEMA", "analytics"), execute)
    finally:
        connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
