"""Which process runs which tests, where several do: what files share is made once, and what takes longest begins first.

pytest-xdist's own groups are marks, which it finds no more since pytest 9.2.
"""

from __future__ import annotations

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
    *("test_set_checker.py", "test_targets.py", "test_verify.py"),
}
"""Files whose fixtures of a module each process makes for itself in no time."""

LONGEST_FIRST = (
    *("test_airflow.py", "test_models.py", "test_report.py", "test_loads.py", "test_clean_checkout.py"),
    *("test_attack.py", "test_recipes.py", "test_own_project.py", "test_set_checker.py", "test_verify.py"),
    *("test_dockerfile.py", "test_pipeline.py", "test_targets.py", "test_resilience.py", "test_faults.py"),
)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # it brings no types
    """Each test goes to the next process that is free, and those of a group to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(file_of(nodeid), nodeid)


def file_of(nodeid: str) -> str:
    """Name of the file that a test is in."""
    return nodeid.partition("::")[0].rpartition("/")[2]


def rank(nodeid: str) -> int:
    """Place of a test's file among those that take long; the others follow."""
    name = file_of(nodeid)
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)
