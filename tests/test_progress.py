"""What a person sees, on a terminal and without one."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import threading
from typing import TYPE_CHECKING

from tests.run import COMMAND, config_for, environment, run_tap, write_json
from tests.space import Simulator

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
