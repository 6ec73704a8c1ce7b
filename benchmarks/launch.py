"""Runs one command on one core and tells how long it took, what it used, and how it ended.

A process of its own, started anew for each run and kept small: a child's peak memory begins at that of the process
that started it.

Its argument is a JSON object: `command`, `core` (or null), `stdout`, `stderr` (files), `cwd`. Its output is one:
`began` (monotonic seconds), `wall`, `cpu` (seconds), `peak` (MB), `code`.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run the command to its end."""
    job = json.loads(sys.argv[1])
    if job["core"] is not None:
        os.sched_setaffinity(0, {job["core"]})
    os.chdir(job["cwd"])
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 1, job["stdout"], write, 0o644),
        (os.POSIX_SPAWN_OPEN, 2, job["stderr"], write, 0o644),
    ]
    began = time.monotonic()
    pid = os.posix_spawnp(job["command"][0], job["command"], os.environ, file_actions=files)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - began
    told = {
        "began": began,
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss / 1_024,
        "code": os.waitstatus_to_exitcode(status),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
