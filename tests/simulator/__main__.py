"""`python -m tests.simulator`: a simulated Space in a process of its own, until it is ended.

Its first line of output is a JSON object of `space`, `project_id` and `api_token`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys

from tests.simulator.families import FAMILIES, MESSAGES
from tests.simulator.simulator import Simulator


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000, help="messages created before the clock's start")
    parser.add_argument("--families", type=int, default=0, help="logs of each other family, likewise")
    parser.add_argument("--days", type=float, default=30, help="days that all of them spread over")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--latency-ms", type=float, default=0, help="how long each answer takes")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    others = {family.name: options.families for family in FAMILIES if family is not MESSAGES}
    with Simulator(
        messages=options.messages,
        families=others,
        days=options.days,
        seed=options.seed,
        port=options.port,
        log_requests=False,
    ) as sim:
        sim.latency = options.latency_ms / 1_000
        settings = {"space": sim.space, "project_id": sim.project_id, "api_token": sim.api_token}
        print(json.dumps(settings), flush=True)
        hint = "Save this as settings.json, and run: tap-signalwire-logs --config settings.json (Ctrl-C ends the Space)"
        print(hint, file=sys.stderr, flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
