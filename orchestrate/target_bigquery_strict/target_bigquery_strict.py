"""z3-target-bigquery, told to fail where rows did not land: the loader target-bigquery of `meltano.yml`.

As it comes, the loader's streaming inserts look at no answer: rows that BigQuery refuses are lost with exit code 0, and
a batch whose request fails while the run ends is lost, or waited for without end. Here each batch must be taken whole
before the state after it is written, columns of type JSON get the JSON text that BigQuery asks for, and what is wrong
with project or credentials is one line. Other methods than `streaming_insert` run as they come.
"""

from __future__ import annotations

import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import orjson
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud import _http
from google.cloud.bigquery import DEFAULT_RETRY
from target_bigquery.streaming_insert import BigQueryStreamingInsertDenormalizedSink
from target_bigquery.target import TargetBigQuery
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

REQUESTS_AT_ONCE = 4
MOST_PENDING = 16
RETRY_SECONDS = 60
NAMED = 3
CREDENTIALS_HELP = "set TARGET_BIGQUERY_CREDENTIALS_PATH to the key of a service account, or log in with gcloud"


class RowsRefusedError(Exception):
    """BigQuery took a batch in part or not at all."""


class StrictSink(BigQueryStreamingInsertDenormalizedSink):
    """Inserts batches side by side, and lets no state pass a batch that was not taken."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what the loader's sink takes."""
        super().__init__(*arguments, **options)
        self._requests = ThreadPoolExecutor(REQUESTS_AT_ONCE)
        self._pending: deque[Future[None]] = deque()
        self._json_columns: set[str] | None = None

    def preprocess_record(self, record: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
        """Write JSON columns as text."""
        record = super().preprocess_record(record, context)
        if self._json_columns is None:
            fields = self.table.get_resolved_schema(self.apply_transforms)
            self._json_columns = {field.name for field in fields if field.field_type == "JSON"}
        for name in self._json_columns:
            if record.get(name) is not None:
                record[name] = orjson.dumps(record[name]).decode()
        return record

    def process_batch(self, context: dict[str, Any]) -> None:  # noqa: ARG002 - the SDK's signature
        """Begin to insert what was gathered."""
        rows, self.records_to_drain = self.records_to_drain, []
        self._pending.append(self._requests.submit(self._insert, rows))
        while len(self._pending) > MOST_PENDING:
            self._pending.popleft().result()

    def pre_state_hook(self) -> None:
        """Wait until everything before the state has landed."""
        self._finish()
        super().pre_state_hook()

    def clean_up(self) -> None:
        """Wait for the rest."""
        self._finish()
        super().clean_up()

    def _finish(self) -> None:
        while self._pending:
            self._pending.popleft().result()

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        refused = self._request(self.table.as_ref(), rows)
        # The others of a batch are `stopped`.
        causes = [
            f"{error.get('reason')} at {error.get('location') or 'the row'}"
            for row in refused
            for error in row["errors"]
            if error.get("reason") != "stopped"
        ]
        if refused:
            named = ", ".join(sorted(set(causes))[:NAMED])
            message = f"BigQuery refused {len(refused)} of {len(rows)} rows of {self.stream_name}: {named}"
            raise RowsRefusedError(message)

    # A table that was made a moment ago may not be found yet.
    @retry(
        retry=retry_if_exception_type(NotFound),
        wait=wait_exponential(max=10),
        stop=stop_after_delay(RETRY_SECONDS),
        reraise=True,
    )
    def _request(self, table: Any, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        # The client tries again for ten minutes where it is not told.
        again = DEFAULT_RETRY.with_timeout(RETRY_SECONDS)
        refused: list[dict[str, Any]] = self.client.insert_rows_json(table=table, json_rows=rows, retry=again)
        return refused


class StrictTarget(TargetBigQuery):
    """The loader with the sink above, which needs no workers."""

    def _validate_config(self, *arguments: Any, **options: Any) -> Any:
        """Name what is missing, before the loader prints its whole schema for it."""
        for name in ("project", "dataset"):
            if not self.config.get(name):
                raise KeyError(name)
        return super()._validate_config(*arguments, **options)

    def get_sink_class(self, stream_name: str | None = None) -> Any:
        """Take the strict sink where rows are streamed into columns."""
        found = super().get_sink_class(stream_name)
        return StrictSink if found is BigQueryStreamingInsertDenormalizedSink else found

    def resize_worker_pool(self) -> None:
        """Make workers for other sinks alone."""
        if self.get_sink_class() is not StrictSink:
            super().resize_worker_pool()


def main() -> None:
    """Run the loader; what can be said in one line is."""
    # Decimals and instants in rows.
    _http.json = orjson
    try:
        StrictTarget.cli()
    except KeyError as error:
        _fail(f"the setting {error} is missing: set TARGET_BIGQUERY_{str(error.args[0]).upper()}")
    except (RowsRefusedError, GoogleAPIError, ConnectionError, TimeoutError) as error:
        _fail(str(error))
    except (GoogleAuthError, OSError, ValueError) as error:
        _fail(f"credentials: {error}; {CREDENTIALS_HELP}")


def _fail(text: str) -> None:
    line = " ".join(text.split())
    sys.exit(f"target-bigquery: {line}")


if __name__ == "__main__":
    main()
