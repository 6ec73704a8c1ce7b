"""Airflow in an environment of its own, on the DAGs of this checkout and a Meltano project of the caller's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support import warm
from tests.support.environments import locked
from tests.support.pipeline import ROOT, environment_with
from tests.support.ports import free_port
from tests.support.run import SCRIPTS, output_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TIMEOUT_SECONDS = 600
STOP_SECONDS = 30


def settings(home: Path) -> dict[str, str]:
    """Environment of every Airflow process, which is started in its `home`."""
    # One home for all, as long as they are started in it: then one warm process serves them.
    folder = "/proc/self/cwd" if sys.platform == "linux" else str(home)
    return {
        "AIRFLOW_HOME": folder,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "orchestrate" / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "3",
        # Airflow looks up what follows the dollar.
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://127.0.0.1:$TESTS_API_PORT/execution/",
        # A task that its API server does not answer within 5 s has failed; a busy machine may take longer.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # Otherwise each process that finds no `airflow.cfg` in its home makes one up.
        "AIRFLOW__API_AUTH__JWT_SECRET": "known to all of them" * 4,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    }


@dataclass
class Airflow:
    """Airflow with its database and logs in `home`; its tasks run Meltano in `project` with `variables`."""

    commands: Path
    home: Path
    project: Path
    variables: Mapping[str, str]
    _port: int = field(default_factory=free_port)

    def environment(self) -> dict[str, str]:
        """Environment of every Airflow process."""
        own = {
            **settings(self.home),
            "TESTS_API_PORT": str(self._port),
            "MELTANO_PROJECT_ROOT": str(self.project),
            # Some name a script of their own here, which Airflow could take for a template.
            "MELTANO_EXECUTABLE": str(warm.passed_on(SCRIPTS / "meltano")),
            "SIGNALWIRE_RETRY_SECONDS": "1",
            "SIGNALWIRE_WINDOWS_AT_ONCE": "2",
        }
        return environment_with({**own, **self.variables})

    def set_up(self) -> None:
        """Make its empty database: a copy of one that is made once, beside the environment."""
        made = Airflow(self.commands, self.commands.parent / "home", self.project, self.variables)
        made.home.mkdir(exist_ok=True)
        with locked(made.home / "migrated.lock"):
            if not (is_made := made.home / "migrated").exists():
                made.run("db", "migrate")
                is_made.touch()
        shutil.copy(made.database, self.database)

    def run(self, *arguments: str) -> str:
        """Run an Airflow command; gives its output, or raises it."""
        command: list[str | Path] = [self.commands / "airflow", *arguments]
        return output_of(command, self.home, self.environment(), TIMEOUT_SECONDS)

    @contextmanager
    def running(self) -> Iterator[None]:
        """A scheduler, a DAG processor and an API server, until the context closes."""
        api = ("api-server", "--port", str(self._port), "--apps", "execution")
        processes = [self._start(*api), self._start("dag-processor")]
        try:
            # A task that begins before the API server listens has failed.
            self._wait_for_api_server()
            processes.append(self._start("scheduler", "--skip-serve-logs"))
            yield
        finally:
            for process in processes:
                os.killpg(process.pid, signal.SIGTERM)
            for process in processes:
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def _wait_for_api_server(self) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port)):
                return
            assert time.monotonic() < deadline, f"the API server does not listen:\n{self.logs()}"
            time.sleep(0.2)

    @property
    def database(self) -> Path:
        """The file of its database."""
        return self.home / "airflow.db"

    def state_of(self, dag: str, run: str) -> str:
        """State of a run of a DAG: queued, running, success or failed; of the database, for a command takes seconds."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=60)) as connection:
            query = "select state from dag_run where dag_id = ? and run_id = ?"
            return str(connection.execute(query, (dag, run)).fetchone()[0])

    def wait_for(self, dag: str, run: str) -> str:
        """Wait for the end of a run; gives its state."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (state := self.state_of(dag, run)) in {"queued", "running"}:
            assert time.monotonic() < deadline, f"{dag} {run} is still {state}:\n{self.logs()}"
            time.sleep(0.5)
        return state

    def logs(self) -> str:
        """Ends of the logs of the three processes."""
        return "\n".join(
            f"== {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-3_000:]}"
            for path in sorted(self.home.glob("*.out"))
        )

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{command[0]}.out").open("wb") as log:
            return subprocess.Popen(
                [self.commands / "airflow", *command],
                env=self.environment(),
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
