"""Which process runs which tests, where several do: what files share is made once, and what takes longest begins first.

Half of the processes begin with what takes longest, which keeps the cores busy, and half with what mostly waits, until
they meet. pytest-xdist's own groups are marks, which it finds no more since pytest 9.2.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    # The models, built from four loads.
    "test_models.py": "models",
    "test_report.py": "models",
    # An emulated BigQuery.
    "test_loads.py": "loads",
    # A project that Meltano has made.
    "test_own_project.py": "own project",
    # A mock of the service.
    "test_openapi.py": "openapi",
    # A wheel.
    "test_package.py": "package",
}
"""Groups of the files whose tests run in one process, one after another."""

CHEAP = {
    *("test_airflow.py", "test_docs.py", "test_judges.py", "test_pipeline.py", "test_recipes.py"),
    *("test_set_checker.py", "test_targets.py", "test_verify.py", "test_warm.py"),
}
"""Files whose fixtures of a module each process makes for itself in no time."""

LONGEST_FIRST = (
    *("test_models.py", "test_report.py", "test_airflow.py", "test_loads.py", "test_clean_checkout.py"),
    *("test_attack.py", "test_recipes.py", "test_own_project.py", "test_set_checker.py", "test_verify.py"),
    *("test_dockerfile.py", "test_pipeline.py", "test_targets.py"),
)

MOSTLY_WAIT = ("test_client.py", "test_rate_limit.py", "test_faults.py", "test_resilience.py")
"""Files whose tests wait for timeouts and for the next try."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # it brings no types
    """Each test goes to the next process that is free, and those of a group to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(file_of(nodeid), nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        if takes_from_the_end(node.gateway.id):
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


def takes_from_the_end(worker: str) -> bool:
    """Whether a process, `gw0` or another, begins with the tests that come last."""
    return int(worker.removeprefix("gw")) % 2 == 1


def file_of(nodeid: str) -> str:
    """Name of the file that a test is in."""
    return nodeid.partition("::")[0].rpartition("/")[2]


def rank(nodeid: str) -> int:
    """Place of a test's file: those that take long, the others, and those that mostly wait."""
    name = file_of(nodeid)
    if name in LONGEST_FIRST:
        return LONGEST_FIRST.index(name)
    return len(LONGEST_FIRST) + (name in MOSTLY_WAIT)
