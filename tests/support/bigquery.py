"""An emulated BigQuery in an environment of its own, reached with a service account's key."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.support.environments import BIGQUERY, environment_of
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = "demo"
COLUMNS = (
    *("id", "from", "to", "status", "direction", "kind", "source", "type", "url", "number_of_segments"),
    *("charge", "charge_details", "created_at", "error_message", "error_code", "discarded_at"),
)
START_SECONDS = 60


@dataclass(frozen=True)
class BigQuery:
    """An emulated BigQuery at `origin`; `variables` lead the loader to it."""

    origin: str
    variables: dict[str, str]

    @property
    def settings(self) -> dict[str, str]:
        """The loader's settings, as a file of them has them."""
        path = self.variables["TARGET_BIGQUERY_CREDENTIALS_PATH"]
        return {"project": PROJECT, "dataset": "signalwire", "credentials_path": path}

    def query(self, sql: str) -> list[list[Any]]:
        """Rows of a query, each value as the API gives it: text, None, or a list for what is repeated."""
        answer = self._post(f"/bigquery/v2/projects/{PROJECT}/queries", {"query": sql, "useLegacySql": False})
        rows = [_plain(row) for row in answer.get("rows", [])]
        assert "pageToken" not in answer, "the answer holds all rows"
        return rows

    def create_dataset(self, name: str) -> None:
        """Make an empty dataset."""
        reference = {"datasetReference": {"projectId": PROJECT, "datasetId": name}}
        self._post(f"/bigquery/v2/projects/{PROJECT}/datasets", reference)

    def insert(self, dataset: str, table: str, rows: list[dict[str, Any]]) -> None:
        """Append rows to a table, as a loader streams them: SQL that holds many rows is parsed for half a minute."""
        path = f"/bigquery/v2/projects/{PROJECT}/datasets/{dataset}/tables/{table}/insertAll"
        answer = self._post(path, {"rows": [{"json": row} for row in rows]})
        assert not answer.get("insertErrors"), answer

    def drop_dataset(self, name: str) -> None:
        """Delete a dataset with its tables, if it is there."""
        path = f"/bigquery/v2/projects/{PROJECT}/datasets/{name}?deleteContents=true"
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.origin}{path}", method="DELETE")):
                pass
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise

    def records(self, table: str) -> dict[str, dict[str, Any]]:
        """Records of a table or view of the dataset `signalwire` by ID; none is there twice."""
        columns = ", ".join(f"`{name}`" for name in COLUMNS)
        rows = self.query(f"select {columns} from `{PROJECT}.signalwire.{table}`")
        records = [_as_record(dict(zip(COLUMNS, row, strict=True))) for row in rows]
        assert len({record["id"] for record in records}) == len(records)
        return {record["id"]: record for record in records}

    def schema(self, dataset: str, table: str) -> dict[str, tuple[str, str]]:
        """Type and mode of each column."""
        path = f"/bigquery/v2/projects/{PROJECT}/datasets/{dataset}/tables/{table}"
        with urllib.request.urlopen(f"{self.origin}{path}") as answer:
            fields = json.load(answer)["schema"]["fields"]
        return {field["name"]: (field["type"], field.get("mode", "NULLABLE")) for field in fields}

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.origin}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


@contextmanager
def emulated(folder: Path) -> Iterator[BigQuery]:
    """An empty BigQuery, until the context closes."""
    commands = environment_of(*BIGQUERY)
    extensions = "from duckdb_extensions import import_extension as load; load('spatial'); load('icu')"
    subprocess.run([commands / "python", "-c", extensions], check=True)
    port, tokens = free_port(), ThreadingHTTPServer(("127.0.0.1", 0), _Tokens)
    threading.Thread(target=tokens.serve_forever, daemon=True).start()
    with (folder / "emulator.out").open("wb") as log:
        process = subprocess.Popen(
            [
                *(commands / "bqemulator", "start", "--ephemeral", "--project", PROJECT),
                *("--rest-port", str(port), "--grpc-port", str(free_port())),
            ],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        origin = f"http://127.0.0.1:{port}"
        _wait_for(origin, process)
        key = folder / "key.json"
        key.write_text(json.dumps(_service_account(folder, tokens.server_port)), encoding="utf-8")
        yield BigQuery(
            origin,
            {
                "BIGQUERY_EMULATOR_HOST": origin,
                "TARGET_BIGQUERY_PROJECT": PROJECT,
                "TARGET_BIGQUERY_CREDENTIALS_PATH": str(key),
            },
        )
    finally:
        process.terminate()
        process.wait()
        tokens.shutdown()
        tokens.server_close()


@contextmanager
def refusing(service: BigQuery) -> Iterator[dict[str, str]]:
    """The service, but that it refuses the last row of each insert as BigQuery does; gives the loader's environment."""

    class Handler(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.partition("?")[0].endswith("/insertAll"):
                last = len(json.loads(body)["rows"]) - 1
                errors = [{"reason": "invalid", "location": "created_at", "message": "Could not parse"}]
                stopped = [{"reason": "stopped", "location": "", "message": ""}]
                rows = [{"index": row, "errors": errors if row == last else stopped} for row in range(last + 1)]
                return self._answer(200, json.dumps({"insertErrors": rows}).encode())
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"{service.origin}{self.path}", body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(request) as answer:
                    return self._answer(answer.status, answer.read())
            except urllib.error.HTTPError as error:
                return self._answer(error.code, error.read())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {**service.variables, "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{server.server_port}"}
        server.shutdown()


class _Tokens(BaseHTTPRequestHandler):
    """Gives a token for a service account's key, as Google does, but to whoever asks."""

    def do_POST(self) -> None:
        body = json.dumps({"access_token": "emulated", "expires_in": 3_600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _service_account(folder: Path, port: int) -> dict[str, str]:
    file = folder / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", file],
        check=True,
    )
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": file.read_text(encoding="utf-8"),
        "client_email": f"loader@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"http://127.0.0.1:{port}/token",
    }


def _wait_for(origin: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, "the emulator ended"
        assert time.monotonic() < deadline, "the emulator does not answer"
        try:
            with urllib.request.urlopen(f"{origin}/bigquery/v2/projects/{PROJECT}/datasets"):
                return
        except OSError:
            time.sleep(0.2)


def _plain(row: dict[str, Any]) -> list[Any]:
    return [_value(cell["v"]) for cell in row["f"]]


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [_value(one["v"]) for one in value]
    return _plain(value) if isinstance(value, dict) else value


def _as_record(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("created_at", "discarded_at"):
        row[name] = row[name] and _instant(int(row[name]))
    # A float's shortest text is the number that was sent.
    row["charge"] = None if row["charge"] is None else Decimal(row["charge"])
    row["charge_details"] = [{"description": text, "charge": Decimal(charge)} for text, charge in row["charge_details"]]
    row["number_of_segments"] = None if row["number_of_segments"] is None else int(row["number_of_segments"])
    return {name: value for name, value in row.items() if name != "discarded_at" or value is not None}


def _instant(micros: int) -> str:
    instant = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)
    return instant.isoformat().replace("+00:00", "Z")
