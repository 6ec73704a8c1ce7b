"""What a person sees, on a terminal and without one."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from singer_sdk.metrics import Point

from tap_signalwire_logs import redact
from tap_signalwire_logs.errors import TapError
from tap_signalwire_logs.instants import to_micros
from tap_signalwire_logs.log_stream import _Report
from tap_signalwire_logs.progress import Progress, columns, cut
from tests.simulator import Simulator
from tests.support.run import COMMAND, config_for, environment, run_tap, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLOSING = re.compile(
    r"message_logs: done: (\d+) records, of them (\d+) refreshed; (\d+) logs waiting, (\d+) missing; "
    r"(\d+) requests, (\d+) retries; \d+\.\d s"
)


def test_the_closing_line_counts_what_came_and_what_it_took(tmp_path: Path) -> None:
    with Simulator(messages=300, seed=7, days=3) as sim:
        first = run_tap(tmp_path, config_for(sim))
        sim.advance(hours=8)
        sim.clear_requests()
        second = run_tap(tmp_path, config_for(sim), state=first.state)
        closing = CLOSING.search(second.log)
        assert closing
        records, refreshed, waiting, missing, requests, retries = map(int, closing.groups())
        assert records == len(second.records)
        assert refreshed == len(set(first.by_id) & set(second.by_id)) > 0
        assert waiting == len(second.bookmark["waiting"])
        assert (missing, retries) == (0, 0)
        assert requests == len(sim.requests)


COUNTS = SimpleNamespace(requests=9, retries=2)

METRIC = re.compile(r"METRIC: (\{.+\})$", re.MULTILINE)


def test_the_metrics_count_what_the_closing_line_counts(tmp_path: Path) -> None:
    with Simulator(messages=300, seed=7, days=3) as sim:
        sim.fault("status", path=r"/logs/", times=2)
        run = run_tap(tmp_path, config_for(sim))
    closing = CLOSING.search(run.log)
    assert closing
    _, _, waiting, _, requests, retries = map(int, closing.groups())
    points = [json.loads(text) for text in METRIC.findall(run.log)]
    told = {point["metric"]: point["value"] for point in points}
    assert {point["tags"]["stream"] for point in points} == {"message_logs"}
    assert (told["http_request_count"], told["http_retry_count"], told["waiting_logs"]) == (requests, retries, waiting)
    assert retries == 2
    assert waiting > 0
    assert told["record_count"] == len(run.records)


@pytest.mark.parametrize(
    ("waiting", "age", "lag"),
    [
        pytest.param(0, None, 0, id="none waits"),
        pytest.param(2, timedelta(hours=3), 10_800, id="the oldest is three hours old"),
        pytest.param(2, timedelta(hours=-3), 0, id="a clock that is ahead"),
        pytest.param(2, None, None, id="not known, so not told"),
    ],
)
def test_the_lag_is_the_age_of_the_oldest_waiting_log(
    waiting: int, age: timedelta | None, lag: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("message_logs", COUNTS, logging.getLogger("a test"))
    progress.waiting = waiting
    progress.oldest_waiting = None if age is None else to_micros(datetime.now(timezone.utc) - age)
    with caplog.at_level(logging.INFO):
        progress.finish("done")
    points = [record.args[0] for record in caplog.records if isinstance(record.args, tuple) and record.args]
    told = [point.value for point in points if isinstance(point, Point) and point.metric.value == "lag_seconds"]
    assert told == [] if lag is None else told and abs(told[0] - lag) <= 60


def test_a_line_on_the_way_shows_counts_however_large(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "_logRecordFactory", logging.getLogRecordFactory())  # it is put back at the end
    redact.install([])
    monkeypatch.setattr("tap_signalwire_logs.progress.LINE_EVERY_SECONDS", 0.0)
    progress = Progress("message_logs", COUNTS, logging.getLogger("a test"))
    progress.records = 12_345_678
    with caplog.at_level(logging.INFO):
        progress.at(0.625)
        progress.closed()
    assert re.fullmatch(r"message_logs: 62%, 12345678 records, [1-9]\d{6,} records/s", caplog.messages[-1])


@pytest.mark.parametrize(
    ("what", "said"),
    [
        pytest.param("missing", "logs: 1,234,567 logs not found: ", id="logs that do not exist"),
        pytest.param("_logs_not_read", "logs: 1,234,567 logs not read: ", id="logs that could not be had"),
    ],
)
def test_an_error_shows_counts_however_large(what: str, said: str) -> None:
    report = _Report("logs", logging.getLogger("a test"))
    setattr(report, what, ["an ID"] * 1_234_567)
    with pytest.raises(TapError) as failure:
        report.raise_for_what_did_not_come(fail_on_missing=True)
    assert redact.redact(str(failure.value)).startswith(said)


def test_stdout_carries_singer_messages_alone(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim))
    assert {message["type"] for message in run.messages} == {"SCHEMA", "RECORD", "STATE"}
    assert "\x1b" not in run.log
    assert "\r" not in run.log


@pytest.mark.parametrize(
    ("incomplete", "said"),
    [
        pytest.param(0, "4 logs waiting, 1 missing; 9 requests", id="nothing"),
        pytest.param(3, "4 logs waiting, 1 missing, 3 not read; 9 requests", id="some"),
    ],
)
def test_the_closing_line_names_what_could_not_be_read_where_there_is_some(
    incomplete: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("message_logs", COUNTS, logging.getLogger("a test"))
    progress.waiting, progress.missing, progress.incomplete = 4, 1, incomplete
    with caplog.at_level(logging.INFO):
        progress.finish("failed")
    assert said in caplog.messages[0]


class Terminal:
    """A pseudo-terminal that keeps what is written to it."""

    def __init__(self, width: int = 0) -> None:
        self._ours, self.theirs = pty.openpty()
        self.resize(width)
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def resize(self, width: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

    def text(self) -> str:
        """All that was written; nothing can be written any more."""
        os.close(self.theirs)
        self._reader.join(10)
        os.close(self._ours)
        return self._seen.decode()

    def _read(self) -> None:
        # A terminal whose other end is closed reads as an error, not as an end.
        with suppress(OSError):
            while chunk := os.read(self._ours, 65_536):
                self._seen.extend(chunk)


def drawn(text: str) -> list[str]:
    """The states of the moving line."""
    return re.findall(r"\r\x1b\[2K(\w+: \d+%[^\r\x1b]*)", text)


@contextmanager
def watched() -> Iterator[Terminal]:
    """A terminal as stderr of this process, and another file as its stdout; each draw is due."""
    terminal = Terminal()
    with pytest.MonkeyPatch.context() as patch, open(terminal.theirs, "w", encoding="utf-8", closefd=False) as stderr:
        patch.setattr(sys, "stdout", io.StringIO())
        patch.setattr(sys, "stderr", stderr)
        patch.setattr("tap_signalwire_logs.progress.DRAW_EVERY_SECONDS", 0.0)
        yield terminal


def new_progress(stream: str = "message_logs") -> Progress:
    logger = logging.getLogger("a test of lines")
    logger.setLevel(logging.INFO)
    return Progress(stream, COUNTS, logger)


def test_the_moving_line_is_never_as_wide_as_the_terminal() -> None:
    widths = [*range(1, 70), 200, 5, 63, 40]
    with watched() as terminal:
        progress = new_progress()
        for width in widths:
            terminal.resize(width)
            progress.at(0.5)
    lines = re.findall(r"\r\x1b\[2K([^\r\x1b]*)", terminal.text())
    assert len(lines) == len(widths)
    for line, width in zip(lines, widths, strict=True):
        assert len(line) < width
    assert lines[-1] == "message_logs: 50%, 0 records"
    assert "records/s" in lines[-4]


def test_wide_characters_are_counted_as_the_columns_that_they_take() -> None:
    assert columns("日本e\u0301") == 5
    assert [cut("日本e\u0301x", width) for width in range(7)] == [
        "",
        "",
        "日",
        "日",
        "日本",
        "日本e\u0301",
        "日本e\u0301x",
    ]


def test_a_line_of_the_log_stands_alone() -> None:
    with watched() as terminal:
        handler = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(handler)
        try:
            progress = new_progress()
            progress.at(0.5)
            logging.getLogger("a test of lines").warning("stop")
            progress.finish("done")
        finally:
            logging.getLogger().removeHandler(handler)
    text = terminal.text()
    assert "\r\x1b[2Kstop\r\n" in text
    assert text.count("0 records/s") == 1
    assert "METRIC" not in text


class GoneTerminal(io.StringIO):
    """A terminal whose window was closed."""

    def isatty(self) -> bool:
        return True

    def write(self, _: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


def test_a_terminal_that_goes_away_fails_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_signalwire_logs.progress.DRAW_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", GoneTerminal())
    progress = new_progress()
    for _ in range(3):
        progress.at(0.5)
    progress.finish("done")


@pytest.mark.parametrize("closed", [True, False])
def test_without_stderr_nothing_is_drawn(closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    stderr.close()
    monkeypatch.setattr(sys, "stderr", stderr if closed else None)
    progress = new_progress()
    progress.at(0.5)
    progress.finish("done")


def test_where_stdout_is_a_terminal_too_no_line_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    with watched() as terminal:
        monkeypatch.setattr(sys, "stdout", sys.stderr)
        progress = new_progress()
        progress.at(0.5)
        progress.finish("done")
    assert drawn(terminal.text()) == []


def run_on_terminal(terminal: Terminal, tmp_path: Path, *, stdout: int = subprocess.DEVNULL) -> str:
    """Run the command with a terminal as stderr; gives what showed there."""
    with Simulator(messages=600, seed=7, days=30) as sim:
        sim.latency = 0.02
        config = write_json(tmp_path / "config.json", config_for(sim, concurrency=4))
        process = subprocess.Popen(
            [*COMMAND, "--config", config], stdout=stdout, stderr=terminal.theirs, env=environment()
        )
        code = process.wait(timeout=60)
    text = terminal.text()
    assert code == 0, text
    return text


def test_on_a_terminal_a_line_moves_with_how_far_the_run_is(tmp_path: Path) -> None:
    text = run_on_terminal(Terminal(), tmp_path)
    shares = [int(share) for share in re.findall(r"message_logs: (\d+)%, \d+ records, \d+ records/s", text)]
    assert len(set(shares)) > 3
    assert shares == sorted(shares)
    assert "left" in text
    assert CLOSING.search(text)
    assert "METRIC" not in text


def test_a_terminal_of_forty_columns_is_not_flooded(tmp_path: Path) -> None:
    lines = drawn(run_on_terminal(Terminal(40), tmp_path))
    assert len(lines) > 3
    assert max(map(len, lines)) < 40


def test_records_on_a_terminal_are_not_mixed_with_a_moving_line(tmp_path: Path) -> None:
    terminal = Terminal()
    text = run_on_terminal(terminal, tmp_path, stdout=terminal.theirs)
    assert "\x1b" not in text
    assert CLOSING.search(text)


@pytest.mark.real_command
def test_a_closed_stderr_costs_no_record(tmp_path: Path) -> None:
    with Simulator(messages=30, seed=7, days=3) as sim:
        config = write_json(tmp_path / "config.json", config_for(sim))
        run = subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND, "--config", config],
            stdout=subprocess.PIPE,
            timeout=60,
            check=True,
            env=environment(),
        )
        assert run.stdout.count(b'"type":"RECORD"') == len(sim.truth())
