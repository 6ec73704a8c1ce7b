"""Tests that share what is dear to make run in one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.schedule import CHEAP, LONGEST_FIRST, MOSTLY_WAIT, TOGETHER, Scheduling, rank, takes_from_the_end

FOLDER = Path(__file__).parent


def test_each_file_with_a_fixture_of_its_own_says_whether_it_is_shared() -> None:
    own = {path.name for path in FOLDER.glob("test_*.py") if 'fixture(scope="module")' in path.read_text("utf-8")}
    assert own - {"test_schedule.py"} <= {*TOGETHER, *CHEAP}
    assert not TOGETHER.keys() & CHEAP


def test_every_file_that_is_named_is_there() -> None:
    assert {*TOGETHER, *CHEAP, *LONGEST_FIRST, *MOSTLY_WAIT} <= {path.name for path in FOLDER.glob("test_*.py")}


@pytest.mark.parametrize(
    ("nodeid", "scope"),
    [
        pytest.param("tests/test_models.py::test_a[x::y]", "models", id="models"),
        pytest.param("tests/test_report.py::test_b", "models", id="their report"),
        pytest.param("tests/test_cli.py::test_c[1]", "tests/test_cli.py::test_c[1]", id="one that shares nothing"),
    ],
)
def test_a_test_s_group_is_its_file_s(nodeid: str, scope: str) -> None:
    assert Scheduling._split_scope(Scheduling.__new__(Scheduling), nodeid) == scope


def test_what_takes_longest_begins_first_and_what_mostly_waits_comes_last() -> None:
    names = ["test_models.py", "test_airflow.py", "test_cli.py", "test_faults.py"]
    ranks = [rank(f"tests/{name}::test_a") for name in names]
    assert ranks == sorted(set(ranks))


def test_half_of_the_processes_begin_at_the_end() -> None:
    assert [takes_from_the_end(f"gw{number}") for number in range(4)] == [False, True, False, True]
