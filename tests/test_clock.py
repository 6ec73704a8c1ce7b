"""The clock that tests own: what `poe clock` moves."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.simulator import Simulator
from tests.support import warm
from tests.support.clock.__main__ import environment_at
from tests.support.forked import ROOT
from tests.support.run import config_for, run_tap

if TYPE_CHECKING:
    from pathlib import Path

MOMENT = "2028-02-29T23:59:30@Asia/Kolkata"
SLACK = timedelta(hours=1)


def test_a_process_begins_at_the_moment_and_in_the_zone() -> None:
    code = "from datetime import datetime; print(datetime.now().isoformat(), datetime.now().astimezone().utcoffset())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment_at(MOMENT), capture_output=True, text=True, check=True
    )
    now, offset = done.stdout.split()
    assert abs(datetime.fromisoformat(now) - datetime.fromisoformat("2028-02-29T23:59:30")) < SLACK
    assert offset == "5:30:00"


@pytest.mark.parametrize(
    "anew", [pytest.param(True, id="started anew", marks=pytest.mark.real_command), pytest.param(False, id="forked")]
)
@pytest.mark.usefixtures("anew")
def test_the_tap_begins_at_the_moment(tmp_path: Path) -> None:
    moment = datetime.fromisoformat("2028-02-29T18:29:30+00:00")
    with Simulator(messages=3, clock=moment - timedelta(days=1)) as sim:
        run = run_tap(tmp_path, config_for(sim), clock=moment)
        assert run.by_id == sim.truth()
    times = [message["time_extracted"] for message in run.messages if message["type"] == "RECORD"]
    assert len(times) == 3
    for time in times:
        assert abs(datetime.fromisoformat(time.replace("Z", "+00:00")) - moment) < SLACK


FORKED_LATER = """
import subprocess, time
from datetime import datetime, timezone
from tests.support import forked
time.time()
forked._parent()
time.sleep(1.5)
before = time.time()
command = [*forked.COMMAND, "--config", "nowhere.json"]
with forked.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as tap:
    line = tap.stderr.readline()
forked.close()
said = datetime.fromisoformat(line[:23].replace(",", ".")).replace(tzinfo=timezone.utc)
print(said.timestamp() + 0.001 >= before, line)
"""


def test_the_clock_of_a_fork_has_run_on_since_its_parent_began() -> None:
    environment = environment_at("2028-02-29T23:59:30@UTC")
    done = subprocess.run(
        [sys.executable, "-c", FORKED_LATER], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("True"), done.stdout


def test_no_warm_process_runs_commands_where_the_clock_is_moved() -> None:
    code = "import os; from tests.support import warm; warm.begin(); print(warm.VARIABLE in os.environ)"
    environment = {name: value for name, value in environment_at(MOMENT).items() if name != warm.VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
