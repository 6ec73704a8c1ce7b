"""`tap-signalwire-logs-verify`: whether a loader's table holds what the Space has, log by log and field by field.

The Space is read by the tap itself, as a process of its own: with its retries and guarantees, as the pipeline reads
it. The table is read by the loader's own Python (`tables.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tap_signalwire_logs.comparison import QUIRKS, Comparison, Entry, RangeComparison
from tap_signalwire_logs.exact_json import decode_json
from tap_signalwire_logs.external_sort import ExternalSorter
from tap_signalwire_logs.instants import parse_instant, to_text
from tap_signalwire_logs.settings import CONFIG_JSONSCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_signalwire_logs.comparison import Report

    Record = dict[str, Any]

TAP = [sys.executable, "-m", "tap_signalwire_logs"]
PREFIX = "TAP_SIGNALWIRE_LOGS_"

DIFFERS = 1
FAILED = 2

TERMINAL_SECONDS = 0.5
LINE_SECONDS = 10.0
LOG_LINES = 20

EVENTS = "voice_log_events"
IDS_SETTINGS = {
    "message_logs": "message_log_ids_file",
    "voice_logs": "voice_log_ids_file",
    EVENTS: "voice_log_ids_file",
    "fax_logs": "fax_log_ids_file",
    "video_logs": "video_log_ids_file",
}
STREAMS = [*IDS_SETTINGS, "conference_logs"]

KIND_WORDS = {
    "equal": "",
    "missing": "in the Space, not in the table",
    "stale": "in both, and not the same",
    "doubled": "rows of a log that has one already",
    "gone": "in the table, not in the Space: no fault",
}


class VerifyError(Exception):
    """One of the two sides can't be read whole; the message says why and what to do."""


@dataclass(frozen=True)
class Request:
    """What is compared: logs of [start, end), or those that a file names: one ID a line, sorted, each once."""

    stream: str
    start: str | None
    end: str | None
    ids: Path | None

    @property
    def is_range_of_logs(self) -> bool:
        """Whether both sides are read in the order of created_at; else they are in that of their keys."""
        return self.ids is None and self.stream != EVENTS


class Loader(NamedTuple):
    """A loader: its kind (`duckdb`, ...), name, settings, and the Python that has its driver."""

    kind: str
    name: str
    config: dict[str, Any]
    python: str


class Table(NamedTuple):
    """A table that is being read: types of its columns by name, and its rows in order."""

    columns: dict[str, str]
    rows: Iterator[Record]


def main() -> None:
    """Run the command: exit code 0 where the table is true, 1 where it is not, 2 where that can't be told."""
    # Those that it started end with it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    options = _options(sys.argv[1:])
    try:
        loader = _loader(options.loader, options.target_config, options.python)
        is_true = True
        with tempfile.TemporaryDirectory(prefix="tap-signalwire-logs-") as name:
            folder = Path(name)
            ids = _sorted_ids(options.ids, folder / "ids") if options.ids else None
            for stream in options.stream or ["message_logs"]:
                request = Request(stream, options.start, options.end, ids)
                is_true = _verify(folder, request, loader, options.config, options.record_source) and is_true
    except VerifyError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    sys.exit(0 if is_true else DIFFERS)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tap-signalwire-logs-verify",
        description="Compare a range of the Space with a loader's table, log by log and field by field. Exit code: 0 "
        "where the table is true, 1 where a log is missing, stale or doubled, 2 where that can't be told.",
    )
    parser.add_argument(
        "loader", metavar="LOADER", help="target-duckdb, target-postgres, target-bigquery, target-jsonl"
    )
    parser.add_argument("--start", type=_date_time, help="logs created at or after this date or date-time (UTC)")
    parser.add_argument("--end", type=_date_time, help="logs created before this; by default, now")
    parser.add_argument("--ids", metavar="FILE", help="instead of a range: a file of IDs, one a line")
    parser.add_argument("--stream", action="append", choices=STREAMS, help="by default message_logs; may be repeated")
    parser.add_argument(
        "--record-source", choices=["list", "get"], default="list", help="how the Space is read; `list` is far cheaper"
    )
    parser.add_argument(
        "--config", action="append", help="the tap's settings: a file, or ENV (the default); may be repeated"
    )
    parser.add_argument(
        "--target-config", metavar="FILE", help="the loader's settings; by default those of the Meltano project"
    )
    parser.add_argument(
        "--python", help="a Python that has the loader's driver; by default the loader's own in the Meltano project"
    )
    options = parser.parse_args(arguments)
    if not options.ids and not options.start:
        parser.error("--start or --ids is needed")
    if options.ids and (options.start or options.end):
        parser.error("--ids takes no --start or --end")
    if not options.ids:
        options.end = options.end or datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        if options.start >= options.end:
            parser.error(f"--start {options.start} is not before --end {options.end}")
    if not any(kind in options.loader for kind in QUIRKS):
        parser.error(f"{options.loader} is none of target-{', target-'.join(QUIRKS)}")
    return options


def _date_time(text: str) -> str:
    try:
        return to_text(parse_instant(text))
    except ValueError:
        message = f"{text!r} is no date or date-time of ISO 8601"
        raise argparse.ArgumentTypeError(message) from None


def _verify(folder: Path, request: Request, loader: Loader, configs: list[str] | None, record_source: str) -> bool:
    """Compare one stream, say what came of it; gives whether the table is true."""
    with ExitStack() as stack:
        schema, key, records = stack.enter_context(_read_space(folder, request, configs, record_source))
        created = "event_at" if request.stream == EVENTS else "created_at"
        table = stack.enter_context(_read_table(request, loader, key, created))
        if missing := [name for name in (*key, created) if name not in table.columns]:
            message = (
                f"{loader.name}'s table {request.stream} has no column {missing[0]}: nothing can be compared by it"
            )
            raise VerifyError(message)
        made = RangeComparison if request.is_range_of_logs else Comparison
        comparison = made(schema, table.columns, QUIRKS[loader.kind], key=key, created=created)
        place = _place(request, key, created)
        space: Iterable[Entry] = (Entry(place(record), record) for record in records)
        if not request.is_range_of_logs:
            space = _sorted(space)
        rows = (Entry(place(row), row) for row in table.rows)
        progress = _Progress(request, comparison.report)
        for entry in comparison.in_order(space, rows, of_listed_only=request.stream == EVENTS):
            progress.at(entry.place[0])
        if isinstance(comparison, RangeComparison):
            comparison.finish(lambda ids: _look_up(folder, request, loader, key, created, ids))
        progress.finish()
    _tell(request, loader, comparison)
    return comparison.report.is_true


def _place(request: Request, key: tuple[str, ...], created: str) -> Callable[[Record], tuple[Any, ...]]:
    """Where a record or a row stands in the order that both sides are read in."""

    def by_key(record: Record) -> tuple[Any, ...]:
        return tuple(value if isinstance(value, int) else str(value).lower() for value in map(record.get, key))

    def by_time(record: Record) -> tuple[Any, ...]:
        instant = record.get(created)
        if not isinstance(instant, int):
            # One that has none is matched by its key at the end.
            instant = parse_instant(instant) if instant else 0
        return (instant, *by_key(record))

    return by_time if request.is_range_of_logs else by_key


def _sorted(entries: Iterable[Entry]) -> Iterator[Entry]:
    sorter: ExternalSorter[tuple[Any, bytes]] = ExternalSorter(itemgetter(0))
    for entry in entries:
        sorter.add((entry.place, _encode(entry.record)))
    for place, body in sorter.drain():
        yield Entry(place, decode_json(body))


_encode = msgspec.json.Encoder(decimal_format="number").encode


# The Space


@contextmanager
def _read_space(
    folder: Path, request: Request, configs: list[str] | None, record_source: str
) -> Iterator[tuple[Record, tuple[str, ...], Iterator[Record]]]:
    """Schema, key and records of a stream, as the tap brings them: without a state, in its order."""
    arguments, variables = _tap_settings(folder, request, configs or ["ENV"], record_source)
    catalog = folder / "catalog.json"
    catalog.write_bytes(_catalog(request.stream, variables))
    command = [*TAP, *arguments, "--catalog", str(catalog)]
    with (folder / "tap.log").open("w+b") as log, _process(command, variables, log) as process:
        messages = map(decode_json, process.stdout or ())
        schema = next((message for message in messages if message["type"] == "SCHEMA"), None)
        if schema is None:
            raise VerifyError(_failure_of_tap(process, log))

        def records() -> Iterator[Record]:
            for message in messages:
                if message["type"] == "RECORD" and message["stream"] == schema["stream"]:
                    yield message["record"]
            if process.wait():
                raise VerifyError(_failure_of_tap(process, log))

        yield schema["schema"], tuple(schema["key_properties"]), records()


def _tap_settings(
    folder: Path, request: Request, configs: list[str], record_source: str
) -> tuple[list[str], dict[str, str]]:
    """Options of the tap and its environment: the settings of the pipeline, but for what this comparison decides."""
    own: Record = {"record_source": record_source}
    if request.ids is not None:
        if request.stream not in IDS_SETTINGS:
            message = f"{request.stream} can't be fetched by ID: give a range"
            raise VerifyError(message)
        own = {IDS_SETTINGS[request.stream]: str(request.ids)}
    else:
        own |= {"start_date": request.start, "end_date": request.end}
    if "sweep_days" in CONFIG_JSONSCHEMA["properties"]:
        own["sweep_days"] = 0
    decided = {name for name in CONFIG_JSONSCHEMA["properties"] if "_log_ids" in name}
    decided |= {"start_date", "end_date", "record_source", "on_missing", *own}
    settings: Record = {}
    for name in configs:
        if name != "ENV":
            settings |= _read_object(name, "--config")
    settings = {name: value for name, value in settings.items() if name not in decided} | own
    path = folder / "config.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    variables = {
        name: value for name, value in os.environ.items() if name not in {PREFIX + one.upper() for one in decided}
    }
    return ["--config", str(path), *(["--config", "ENV"] if "ENV" in configs else [])], variables


def _catalog(stream: str, variables: dict[str, str]) -> bytes:
    """The tap's catalog with one stream selected."""
    done = subprocess.run([*TAP, "--discover"], capture_output=True, check=False, env=variables)  # noqa: S603 - this package's own command
    if done.returncode:
        raise VerifyError(done.stderr.decode(errors="replace").strip())
    catalog = decode_json(done.stdout)
    for one in catalog["streams"]:
        for metadata in one["metadata"]:
            if not metadata["breadcrumb"]:
                metadata["metadata"]["selected"] = one["tap_stream_id"] == stream
    return _encode(catalog)


def _failure_of_tap(process: subprocess.Popen[bytes], log: Any) -> str:
    process.wait()
    log.seek(0)
    said = b"".join(log.readlines()[-LOG_LINES:]).decode(errors="replace").strip()
    return f"{said}\nThe Space could not be read whole: nothing is known of the table"


# The table


@contextmanager
def _read_table(request: Request, loader: Loader, key: tuple[str, ...], created: str) -> Iterator[Table]:
    """Columns and rows of the loader's table, in order."""
    if loader.kind == "jsonl":
        yield _read_json_lines(request, loader, key, created)
        return
    asked: Record = {
        "kind": loader.kind,
        "config": loader.config,
        "table": request.stream,
        "order": [created, *key] if request.is_range_of_logs else list(key),
        "created": created,
        "start": request.start,
        # The events of a call may be later than the range that it was created in.
        "end": None if request.stream == EVENTS else request.end,
        "key": key[0],
        "ids_file": request.ids and str(request.ids),
    }
    script = str(Path(__file__).with_name("tables.py"))
    with _process([loader.python, script], dict(os.environ), None, stdin=subprocess.PIPE) as process:
        if process.stdin:
            process.stdin.write(_encode(asked))
            process.stdin.close()
        lines = map(decode_json, process.stdout or ())
        head = _checked(next(lines, None), loader)
        columns: dict[str, str] = head["columns"]

        def rows() -> Iterator[Record]:
            names = list(columns)
            for line in lines:
                if isinstance(line, list):
                    yield dict(zip(names, line, strict=True))
                elif "rows" in _checked(line, loader):
                    return
            _checked(None, loader)

        yield Table(columns, rows())


def _checked(line: Any, loader: Loader) -> Record:
    """A line that is no row: an error is raised, and so is the end before the last line."""
    if isinstance(line, dict) and "error" not in line:
        return line
    message = f"{loader.name}: {line['error'] if line else 'the table could not be read whole'}"
    raise VerifyError(message)


def _look_up(
    folder: Path, request: Request, loader: Loader, key: tuple[str, ...], created: str, ids: list[str]
) -> Iterator[Entry]:
    """Rows of some IDs, whenever they were created."""
    file = folder / "missing"
    file.write_text("".join(f"{log_id}\n" for log_id in ids), encoding="utf-8")
    of_ids = Request(request.stream, None, None, file)
    place = _place(of_ids, key, created)
    with _read_table(of_ids, loader, key, created) as table:
        for row in table.rows:
            yield Entry(place(row), row)


def _read_json_lines(request: Request, loader: Loader, key: tuple[str, ...], created: str) -> Table:
    """The last line of each key in target-jsonl's files, in order."""
    folder = Path(loader.config.get("destination_path") or ".")
    files = [*folder.glob(f"{request.stream}.jsonl"), *sorted(folder.glob(f"{request.stream}-*.jsonl"))]
    if not files:
        message = f"{loader.name}: there is no file {folder / request.stream}.jsonl"
        raise VerifyError(message)
    by_key = _place(replace(request, ids=files[0]), key, created)
    newest: ExternalSorter[tuple[Any, int, bytes]] = ExternalSorter(itemgetter(0, 1))
    columns: dict[str, str] = {}
    for number, line in enumerate(line for file in files for line in _lines_of(file)):
        row = decode_json(line)
        columns.update(dict.fromkeys(row, "json"))
        # The last line comes first.
        newest.add((by_key(row), -number, line))
    is_wanted = _is_in_range(request, created) if request.ids is None else _is_one_of(request.ids, key[0])
    place = _place(request, key, created)
    in_order: ExternalSorter[tuple[Any, bytes]] = ExternalSorter(itemgetter(0))
    before = None
    for of_key, _, line in newest.drain():
        if of_key != before and is_wanted(row := decode_json(line)):
            in_order.add((place(row), line))
        before = of_key
    return Table(columns, (decode_json(line) for _, line in in_order.drain()))


def _is_in_range(request: Request, created: str) -> Callable[[Record], bool]:
    start = parse_instant(request.start)
    # The events of a call may be later than the range that it was created in.
    end = None if request.stream == EVENTS else parse_instant(request.end)

    def is_in_range(row: Record) -> bool:
        instant = parse_instant(row[created]) if row.get(created) else None
        return instant is not None and start <= instant and (end is None or instant < end)

    return is_in_range


def _is_one_of(file: Path, key: str) -> Callable[[Record], bool]:
    """Whether a row is of one of a file's IDs, asked in their order."""
    ids = (line.decode().strip() for line in _lines_of(file))
    now = next(ids, None)

    def is_one_of(row: Record) -> bool:
        nonlocal now
        log_id = str(row[key]).lower()
        while now is not None and now < log_id:
            now = next(ids, None)
        return now == log_id

    return is_one_of


def _lines_of(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield line


# The loader


def _loader(name: str, config: str | None, python: str | None) -> Loader:
    """The loader's settings and Python: given, or those of the Meltano project, or from the environment."""
    kind = next(kind for kind in QUIRKS if kind in name)
    project = os.environ.get("MELTANO_PROJECT_ROOT")
    if config:
        settings = _read_object(config, "--target-config")
    elif project:
        settings = _meltano_settings(name, project)
    else:
        prefix = f"TARGET_{kind.upper()}_"
        settings = {
            variable.removeprefix(prefix).lower(): value
            for variable, value in os.environ.items()
            if variable.startswith(prefix)
        }
        if not settings:
            message = f"{name} has no settings here: give --target-config, set {prefix}..., or run this through Meltano"
            raise VerifyError(message)
    return Loader(kind, name, settings, python or _loader_python(name, kind, project) or sys.executable)


def _meltano_settings(name: str, project: str) -> Record:
    meltano = os.environ.get("MELTANO_EXECUTABLE") or "meltano"
    if not (path := shutil.which(meltano)):
        advice = "set MELTANO_EXECUTABLE to the path of Meltano's command, or give --target-config and --python"
        message = f"{meltano}: not found, or not executable; {advice}"
        raise VerifyError(message)
    command = [path, "invoke", "--dump=config", name]
    done = subprocess.run(command, cwd=project, capture_output=True, check=False)  # noqa: S603 - the operator's own Meltano
    try:
        settings: Record = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-LOG_LINES:]
        message = "\n".join([*said, f"Meltano does not tell the settings of {name}: is it a loader of this project?"])
        raise VerifyError(message) from None
    return settings


def _loader_python(name: str, kind: str, project: str | None) -> str | None:
    """The loader's own Python in the Meltano project; one that inherits has its parent's."""
    if not project:
        return None
    system = Path(os.environ.get("MELTANO_SYS_DIR_ROOT") or Path(project) / ".meltano")
    for folder in (name, f"target-{kind}"):
        python = system / "loaders" / folder / "venv" / "bin" / "python"
        if python.exists():
            return str(python)
    return None


# What a person sees


def _tell(request: Request, loader: Loader, comparison: Comparison) -> None:
    report = comparison.report
    what = "by ID" if request.ids else f"{request.start} to {request.end}"
    lines = [f"{request.stream}, {what}: {report.compared} in the Space, beside {loader.name}'s table"]
    if comparison.not_compared:
        lines.append(f"  the table has no {', '.join(comparison.not_compared)}: not compared")
    for kind, words in KIND_WORDS.items():
        count = getattr(report, kind)
        lines.append(f"  {kind:<8}{count:>12,}{f'  {words}' if count and words else ''}")
        names = report.named.get(kind, [])
        lines += [f"    {name}" for name in names]
        if count > len(names) and names:
            lines.append(f"    and {count - len(names):,} more")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


class _Progress:
    """A moving line on a terminal; elsewhere a plain line in ten seconds."""

    def __init__(self, request: Request, report: Report) -> None:
        self._request = request
        self._report = report
        self._count = 0
        self._began = self._last = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._span = (
            (parse_instant(request.start), parse_instant(request.end)) if request.start and request.end else (0, 0)
        )

    def at(self, place: Any) -> None:
        """Note one more log, and how far it lies in the range."""
        self._count += 1
        now = time.monotonic()
        if now - self._last < (TERMINAL_SECONDS if self._terminal else LINE_SECONDS):
            return
        self._last = now
        start, end = self._span
        share = f"{(place - start) / (end - start):.0%}, " if self._request.is_range_of_logs else ""
        line = (
            f"{self._request.stream}: {share}{self._count:,} compared, {self._count / (now - self._began):,.0f} logs/s"
        )
        if self._terminal:
            sys.stderr.write(f"\r\x1b[2K{line[: shutil.get_terminal_size().columns - 1]}")
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def finish(self) -> None:
        """Wipe the line."""
        if self._terminal:
            sys.stderr.write("\r\x1b[2K")


@contextmanager
def _process(
    command: Sequence[str], variables: dict[str, str], log: Any, *, stdin: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output is read; it ends with the context."""
    process = subprocess.Popen(command, env=variables, stdin=stdin, stdout=subprocess.PIPE, stderr=log)  # noqa: S603 - our own
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        if process.stdout:
            process.stdout.close()
        process.wait()


def _read_object(path: str, option: str) -> Record:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"The file of {option} can't be read: {error}"
        raise VerifyError(message) from None
    if not isinstance(content, dict):
        message = f"The file of {option} holds no object of settings"
        raise VerifyError(message)
    return content


def _sorted_ids(path: str, to: Path) -> Path:
    """IDs of a file, one a line, blank lines and `#` comments passed over, into another: sorted, and each once."""
    sorter: ExternalSorter[tuple[str]] = ExternalSorter(itemgetter(0))
    try:
        with Path(path).open(encoding="utf-8") as file:
            for line in file:
                log_id = line.strip().lower()
                if log_id and not log_id.startswith("#"):
                    sorter.add((log_id,))
    except (OSError, ValueError) as error:
        message = f"The file of --ids can't be read: {error}"
        raise VerifyError(message) from None
    if not sorter.count:
        message = "The file of --ids holds no ID"
        raise VerifyError(message)
    with to.open("w", encoding="utf-8") as file:
        file.writelines(f"{log_id}\n" for (log_id,) in sorter.drain())
    return to


if __name__ == "__main__":
    main()
