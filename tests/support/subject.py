"""A stream under test: its Space, its truth, and what a run brought of it, whichever family it is of."""

from __future__ import annotations

import json
import subprocess
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.simulator import Simulator
from tests.support.run import COMMAND, STREAMS, Run, config_for, environment, run_tap

if TYPE_CHECKING:
    from pathlib import Path

    Key = str | tuple[str, int]


@dataclass(frozen=True)
class Subject:
    """One stream of the tap."""

    stream: str

    @property
    def family(self) -> str:
        """The logs that it is of."""
        return self.stream.replace("_log_events", "_logs")

    @property
    def has_get(self) -> bool:
        """Whether there is a request for each log."""
        return self.stream != "conference_logs"

    @property
    def scope(self) -> str:
        """The scope of the API token, as the tap names it."""
        kinds = {"conference_logs": "Voice or Video", "message_logs": "Messaging"}
        return kinds.get(self.family, self.family.partition("_")[0].title())

    def space(self, logs: int, **options: Any) -> Simulator:
        """A Space with nothing but logs of the family."""
        messages = logs if self.family == "message_logs" else 0
        others = {} if messages else {self.family: logs}
        return Simulator(**{"seed": 7, "days": 5, **options}, messages=messages, families=others)

    def truth(self, sim: Simulator) -> dict[Key, dict[str, Any]]:
        """Every record that there is to bring, by its key."""
        records: dict[Any, dict[str, Any]] = deepcopy(sim.truth(family=self.stream))
        for key, record in records.items():
            if isinstance(key, tuple):
                record["position"] = key[1]
            if isinstance(record.get("charge"), str):
                record["charge"] = Decimal(record["charge"])
                for detail in record["charge_details"]:
                    detail["charge"] = Decimal(detail["charge"])
        return records

    def run(self, folder: Path, sim: Simulator, *, state: dict[str, Any] | None = None, **settings: Any) -> Run:
        """Run the tap with this stream alone."""
        return run_tap(folder, config_for(sim, **settings), state=state, catalog=catalog_with(self.stream))

    def found(self, *runs: Run) -> dict[Key, dict[str, Any]]:
        """What a target that upserts holds after runs."""
        return {self.key(record): record for run in runs for record in run.records}

    def key(self, record: dict[str, Any]) -> Key:
        """Key of a record."""
        return (record["log_id"], record["position"]) if self.stream == "voice_log_events" else record["id"]


SUBJECTS = [Subject(stream) for stream in STREAMS]


def catalog_with(*selected: str) -> dict[str, Any]:
    """The tap's catalog with just these streams selected."""
    catalog = deepcopy(_catalog())
    for stream in catalog["streams"]:
        for metadata in stream["metadata"]:
            if metadata["breadcrumb"] == []:
                metadata["metadata"]["selected"] = stream["tap_stream_id"] in selected
    return catalog


@cache
def _catalog() -> dict[str, Any]:
    done = subprocess.run([*COMMAND, "--discover"], capture_output=True, check=True, env=environment())
    catalog: dict[str, Any] = json.loads(done.stdout)
    return catalog
