"""What the benchmark holds its contenders to."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.measure import launch
from benchmarks.report import is_met
from benchmarks.space import Space
from tests.support.run import config_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.simulator import Simulator

    Records = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("spoil", "verdict"),
    [
        pytest.param(lambda records: records, "", id="the truth"),
        pytest.param(lambda records: records[::-1], "", id="another order"),
        pytest.param(lambda records: records[2:], "2 lost", id="lost"),
        pytest.param(lambda records: [*records, records[0]], "1 repeated", id="repeated"),
        pytest.param(
            lambda records: [*records, {**records[0], "id": "9ee38635-899a-490a-bfd1-9e72f5eea53c"}],
            "1 not of the Space",
            id="invented",
        ),
        pytest.param(
            lambda records: [{**records[0], "charge": 7}, *records[1:]], "1 with other values", id="another charge"
        ),
        pytest.param(
            lambda records: [{**records[0], "status": None}, *records[1:]], "1 with other values", id="no status"
        ),
        pytest.param(
            lambda records: [
                {**record, "created_at": record["created_at"].replace("Z", "+00:00"), "_dlt_id": 1}
                for record in records
            ],
            "",
            id="a tool's own way of writing",
        ),
    ],
)
@pytest.mark.parametrize(
    "message",
    [
        pytest.param(lambda record: record, id="lines"),
        pytest.param(lambda record: {"type": "RECORD", "stream": "message_logs", "record": record}, id="Singer"),
        pytest.param(lambda record: {"type": "RECORD", "record": {"data": record, "emitted_at": 1}}, id="Airbyte"),
    ],
)
def test_records_are_held_against_the_list_of_the_space(
    spoil: Callable[[Records], Records],
    verdict: str,
    message: Callable[[dict[str, Any]], dict[str, Any]],
    sim: Simulator,
    tmp_path: Path,
) -> None:
    space = Space(config_for(sim), latency=0)
    space.walk()
    records = json.loads(json.dumps(list(sim.truth().values()), default=float))
    output = tmp_path / "output"
    output.write_text("\n".join(json.dumps(message(record)) for record in spoil(records)), encoding="utf-8")
    assert space.verdict(output) == verdict


def test_a_contender_that_fails_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended with 3:\nwhy"):
        launch([sys.executable, "-c", "import sys; sys.stderr.write('why'); sys.exit(3)"], tmp_path)


def test_the_peak_is_that_of_the_contender_and_not_of_the_benchmark(tmp_path: Path) -> None:
    held = b"x" * 400_000_000
    run = launch([sys.executable, "-c", "print(1)"], tmp_path)
    assert run["peak"] < len(held) / 1_000_000 / 2
    assert (tmp_path / "stdout").read_text() == "1\n"


@pytest.mark.parametrize(
    ("row", "met"),
    [
        ({"measured": 1.0, "most": 1.0}, True),
        ({"measured": 1.01, "most": 1.0}, False),
        ({"measured": 6.0, "least": 6.0}, True),
        ({"measured": 5.9, "least": 6.0}, False),
        ({"measured": 5.9}, None),
    ],
)
def test_a_row_is_met_where_it_reaches_what_was_asked(row: dict[str, Any], met: bool | None) -> None:
    assert is_met(row) is met
