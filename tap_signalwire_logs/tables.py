"""Reads a loader's table in order, and writes it to stdout: run as a file, by any Python that has the loader's driver.

A request comes on stdin, as JSON:

    kind      duckdb, postgres or bigquery
    config    the loader's settings
    table     the stream's name
    order     columns to sort by
    created   the column of the range
    start, end  ISO 8601, the range [start, end); either may be null
    key       the column that `ids_file` names values of, one a line, sorted; then there is no range

What goes out is JSON too, line by line: `{"columns": {name: type}}`, then rows as arrays, date-times as microseconds
since 1970 and decimals as text; at last `{"rows": how many}`, without which the table was not read whole. Nothing here
needs the package, and no setting goes on a command line or into a message.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Request = dict[str, Any]
    Row = Iterable[Any]

ROWS_AT_ONCE = 2_000
IDS_AT_ONCE = 1_000
DUCKDB_MEMORY = "256MB"
DUCKDB_THREADS = 2
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class TableError(Exception):
    """There is no such table, or no driver: said in a few words."""


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    try:
        table = TABLES[request["kind"]](request["config"], request["table"])
        count = 0
        _write({"columns": table.columns})
        for row in table.rows(request):
            _write([_plain(value) for value in row])
            count += 1
        _write({"rows": count})
    except ImportError as error:
        _write({"error": f"{sys.executable} has no {error.name}; name a Python that has the loader's driver: --python"})
    except TableError as error:
        _write({"error": str(error)})
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own, and the caller says them
        _write({"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"})


class Table:
    """A table of a database that speaks SQL; a subclass says how it is reached and what its SQL is like."""

    quote = '"'
    columns: dict[str, str]
    """Types of the columns by their names, as the database calls them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = name
        """What is read: the table, or a query of it."""

    def rows(self, request: Request) -> Iterator[Row]:
        """Rows in order: of a range, or of the IDs of a file."""
        order = ", ".join(map(self.quoted, request["order"]))
        selected = f"select {', '.join(map(self.quoted, self.columns))} from {self.source}"  # noqa: S608 - the operator's own names
        if request["ids_file"]:
            with open(request["ids_file"], encoding="utf-8") as file:  # noqa: PTH123 - a path that was given as text
                ids = (line.strip() for line in file)
                while some := list(itertools.islice(ids, IDS_AT_ONCE)):
                    condition, value = self.is_one_of(request["key"], some)
                    yield from self.execute(f"{selected} where {condition} order by {order}", [value])
            return
        conditions, values = [], []
        for operator, bound in ((">=", request["start"]), ("<", request["end"])):
            if bound:
                condition, value = self.compares(request["created"], operator, _instant(bound))
                conditions.append(condition)
                values.append(value)
        where = f" where {' and '.join(conditions)}" if conditions else ""
        yield from self.execute(f"{selected}{where} order by {order}", values)

    def quoted(self, name: str) -> str:
        """A name as the database quotes it."""
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote

    def execute(self, query: str, values: list[Any]) -> Iterator[Row]:
        """Rows of a query, some at a time."""
        raise NotImplementedError

    def compares(self, column: str, operator: str, instant: datetime) -> tuple[str, Any]:
        """Condition on a column of instants, and the value that it takes."""
        raise NotImplementedError

    def is_one_of(self, column: str, values: list[str]) -> tuple[str, Any]:
        """Condition that a column has one of some values, and the value that it takes."""
        raise NotImplementedError

    def _found(self, columns: Iterable[tuple[str, str]]) -> None:
        self.columns = dict(columns)
        if not self.columns:
            message = f"there is no table {self.name}"
            raise TableError(message)


class DuckDB(Table):
    """A table that target-duckdb wrote."""

    def __init__(self, config: dict[str, Any], table: str) -> None:
        import duckdb  # noqa: PLC0415 - the loader brings it

        schema = config.get("default_target_schema") or "main"
        super().__init__(f"{schema}.{table}")
        path = str(config.get("path") or config.get("filepath"))
        if not os.path.exists(path):  # noqa: PTH110 - a path that was given as text
            message = f"there is no file {path}"
            raise TableError(message)
        self._spill = tempfile.TemporaryDirectory(prefix="tap-signalwire-logs-")
        config = {"memory_limit": DUCKDB_MEMORY, "threads": DUCKDB_THREADS, "temp_directory": self._spill.name}
        self._connection = duckdb.connect(path, read_only=True, config=config)
        query = "select column_name, data_type from duckdb_columns() where schema_name = ? and table_name = ?"
        self._found(self._connection.execute(query, [schema, table]).fetchall())
        self.source = f"{self.quoted(schema)}.{self.quoted(table)}"

    def execute(self, query: str, values: list[Any]) -> Iterator[Row]:
        """Rows of a query, some at a time."""
        result = self._connection.execute(query, values)
        while rows := result.fetchmany(ROWS_AT_ONCE):
            yield from rows

    def compares(self, column: str, operator: str, instant: datetime) -> tuple[str, Any]:
        """Condition on a column of instants, and the value that it takes."""
        return f"{self.quoted(column)} {operator} ?", instant.replace(tzinfo=None)

    def is_one_of(self, column: str, values: list[str]) -> tuple[str, Any]:
        """Condition that a column has one of some values, and the value that it takes."""
        return f"{self.quoted(column)} in (select unnest(?))", values


class Postgres(Table):
    """A table that target-postgres wrote."""

    def __init__(self, config: dict[str, Any], table: str) -> None:
        import psycopg  # noqa: PLC0415 - the loader brings it

        schema = config.get("default_target_schema") or "public"
        super().__init__(f"{schema}.{table}")
        self._connection = psycopg.connect(
            _postgres_url(config) or "", **_postgres_arguments(config), options="-c timezone=UTC"
        )
        self._connection.read_only = True
        query = (
            "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a "
            "join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace "
            "where n.nspname = %s and c.relname = %s and a.attnum > 0 and not a.attisdropped order by a.attnum"
        )
        self._found(self._connection.execute(query, [schema, table]).fetchall())
        self.source = f"{self.quoted(schema)}.{self.quoted(table)}"
        from psycopg.types.json import set_json_loads  # noqa: PLC0415 - the loader brings it

        # Numbers inside as text: the digits stay.
        set_json_loads(lambda text: json.loads(text, parse_float=str), self._connection)

    def execute(self, query: str, values: list[Any]) -> Iterator[Row]:
        """Rows of a query, some at a time."""
        with self._connection.cursor("verify") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            # No name of a column is taken for a placeholder.
            yield from cursor.execute(query.replace("%", "%%").replace("\0", "%s"), values)

    def compares(self, column: str, operator: str, instant: datetime) -> tuple[str, Any]:
        """Condition on a column of instants, and the value that it takes."""
        has_zone = "without" not in self.columns[column]
        return f"{self.quoted(column)} {operator} \0", instant if has_zone else instant.replace(tzinfo=None)

    def is_one_of(self, column: str, values: list[str]) -> tuple[str, Any]:
        """Condition that a column has one of some values, and the value that it takes."""
        cast = "::uuid[]" if self.columns[column] == "uuid" else ""
        return f"{self.quoted(column)} = any(\0{cast})", values


class BigQuery(Table):
    """The newest version of each log in a table that target-bigquery wrote."""

    quote = "`"

    def __init__(self, config: dict[str, Any], table: str) -> None:
        from google.cloud import bigquery  # noqa: PLC0415 - the loader brings it

        project, dataset = config["project"], config["dataset"]
        super().__init__(f"{project}.{dataset}.{table}")
        self._service = bigquery
        self._client = _bigquery_client(bigquery.Client, config, project)
        fields = self._client.get_table(self.name).schema
        self._found([(field.name, field.field_type) for field in fields])
        self._is_appended = str(config.get("upsert")).lower() not in {"true", "1"}
        self.source = self.quoted(self.name)

    def rows(self, request: Request) -> Iterator[Row]:
        """Rows in order: where versions are appended, the newest of each key."""
        if self._is_appended and "_sdc_extracted_at" in self.columns:
            key = ", ".join(self.quoted(name) for name in request["order"] if name != request["created"])
            newest = ", ".join(
                f"{name} desc" for name in ("_sdc_extracted_at", "_sdc_sequence") if name in self.columns
            )
            version = f"row_number() over (partition by {key} order by {newest}) as version"
            self.source = f"(select * from (select *, {version} from {self.source}) where version = 1)"  # noqa: S608 - the operator's own names
        yield from super().rows(request)

    def execute(self, query: str, values: list[Any]) -> Iterator[Row]:
        """Rows of a query, some at a time."""
        parameters = [
            self._service.ArrayQueryParameter(None, "STRING", value)
            if isinstance(value, list)
            else self._service.ScalarQueryParameter(None, "TIMESTAMP", value)
            for value in values
        ]
        options = self._service.QueryJobConfig(query_parameters=parameters)
        for row in self._client.query_and_wait(query, job_config=options, page_size=ROWS_AT_ONCE):
            yield row.values()

    def compares(self, column: str, operator: str, instant: datetime) -> tuple[str, Any]:
        """Condition on a column of instants, and the value that it takes."""
        return f"{self.quoted(column)} {operator} ?", instant

    def is_one_of(self, column: str, values: list[str]) -> tuple[str, Any]:
        """Condition that a column has one of some values, and the value that it takes."""
        return f"{self.quoted(column)} in unnest(?)", values


def _postgres_url(config: dict[str, Any]) -> str | None:
    """Its URL without the driver that SQLAlchemy's form names."""
    url = config.get("sqlalchemy_url")
    if not url:
        return None
    scheme, separator, rest = str(url).partition("://")
    return scheme.partition("+")[0] + separator + rest


def _postgres_arguments(config: dict[str, Any]) -> dict[str, Any]:
    if config.get("sqlalchemy_url"):
        return {}
    names = {"host": "host", "port": "port", "user": "user", "password": "password", "database": "dbname"}
    arguments = {name: config[setting] for setting, name in names.items() if config.get(setting)}
    if config.get("ssl_enable"):
        arguments["sslmode"] = config.get("ssl_mode") or "verify-full"
    return arguments


def _bigquery_client(client: Any, config: dict[str, Any], project: str) -> Any:
    if text := config.get("credentials_json"):
        return client.from_service_account_info(json.loads(text), project=project)
    if path := config.get("credentials_path"):
        return client.from_service_account_json(path, project=project)
    return client(project=project)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, datetime):
        since = (value if value.tzinfo else value.replace(tzinfo=timezone.utc)) - EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return str(value)


def _write(content: Any) -> None:
    sys.stdout.write(json.dumps(content, separators=(",", ":")) + "\n")


TABLES: dict[str, Callable[[dict[str, Any], str], Table]] = {
    "duckdb": DuckDB,
    "postgres": Postgres,
    "bigquery": BigQuery,
}

if __name__ == "__main__":
    main()
