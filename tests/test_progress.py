"""What a person sees, on a terminal and without one."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from singer_sdk.metrics import Point

from tap_signalwire_logs.client import Counts
from tap_signalwire_logs.instants import to_micros
from tap_signalwire_logs.progress import Progress
from tests.simulator import Simulator
from tests.support.run import COMMAND, config_for, environment, run_tap, write_json

if TYPE_CHECKING:
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
    progress = Progress("message_logs", Counts(), logging.getLogger("a test"))
    progress.waiting = waiting
    progress.oldest_waiting = None if age is None else to_micros(datetime.now(timezone.utc) - age)
    with caplog.at_level(logging.INFO):
        progress.finish("done")
    points = [record.args[0] for record in caplog.records if isinstance(record.args, tuple) and record.args]
    told = [point.value for point in points if isinstance(point, Point) and point.metric.value == "lag_seconds"]
    assert told == [] if lag is None else told and abs(told[0] - lag) <= 60


def test_stdout_carries_singer_messages_alone(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim))
    assert {message["type"] for message in run.messages} == {"SCHEMA", "RECORD", "STATE"}
    assert "\x1b" not in run.log
    assert "\r" not in run.log


def test_on_a_terminal_a_line_moves_with_how_far_the_run_is(tmp_path: Path) -> None:
    with Simulator(messages=600, seed=7, days=30) as sim:
        sim.latency = 0.02
        config = write_json(tmp_path / "config.json", config_for(sim, concurrency=4))
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, "--config", config], stdout=subprocess.DEVNULL, stderr=theirs, env=environment()
        )
        os.close(theirs)
        seen = bytearray()

        def read() -> None:
            # A terminal whose other end is closed reads as an error, not as an end.
            try:
                while chunk := os.read(ours, 65_536):
                    seen.extend(chunk)
            except OSError:
                pass

        reader = threading.Thread(target=read)
        reader.start()
        assert process.wait(timeout=60) == 0
        reader.join(10)
        os.close(ours)
    text = seen.decode()
    shares = [int(share) for share in re.findall(r"message_logs: (\d+)%, \d+ records, \d+ records/s", text)]
    assert len(set(shares)) > 3
    assert shares == sorted(shares)
    assert "left" in text
    assert CLOSING.search(text)
