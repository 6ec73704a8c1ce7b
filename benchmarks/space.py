"""The simulated Space as a process on a core of its own, and what the contenders brought back held against it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LIST_PATH = "/api/messaging/logs"
SEED = 7
NAMED = 3


@dataclass(frozen=True)
class Size:
    """How a Space is filled: messages, the days that they spread over, and how long each answer takes."""

    messages: int
    days: float = 30
    latency_ms: int = 0


@dataclass
class Space:
    """A Space that listens: how to reach it, and a digest of each log that it lists."""

    settings: dict[str, Any]
    latency: float
    truth: dict[bytes, int] = field(default_factory=dict)

    @property
    def logs(self) -> int:
        """How many there are."""
        return len(self.truth)

    def walk(self) -> None:
        """Learn the truth from the list."""
        host = self.settings["space"]
        credentials = base64.b64encode(f"{self.settings['project_id']}:{self.settings['api_token']}".encode()).decode()
        connection = http.client.HTTPConnection(host)
        path: str | None = f"{LIST_PATH}?page_size=1000"
        while path:
            connection.request("GET", path, headers={"Authorization": f"Basic {credentials}"})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == http.client.OK, body
            page = msgspec.json.decode(body)
            for record in page["data"]:
                self.truth[_key(record)] = _digest(record)
            onward: str | None = page["links"].get("next")
            path = onward and onward.removeprefix(f"http://{host}")
        connection.close()

    def verdict(self, output: Path) -> str:
        """What is wrong with the records of a run: "" where they are the truth, each log once."""
        return self.verdict_of(records_of(output))

    def verdict_of(self, records: Iterable[dict[str, Any]]) -> str:
        """The same of records that are at hand."""
        seen: set[bytes] = set()
        repeated = foreign = wrong = 0
        for record in records:
            key = _key(record)
            repeated += key in seen
            seen.add(key)
            digest = self.truth.get(key)
            foreign += digest is None
            wrong += digest is not None and digest != _digest(record)
        lost = len(self.truth.keys() - seen)
        counts = {"lost": lost, "repeated": repeated, "not of the Space": foreign, "with other values": wrong}
        return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


@contextmanager
def space_of(size: Size) -> Iterator[Space]:
    """Serve a Space until the context is left, and know its truth."""
    command = [sys.executable, "-m", "tests.simulator", "--messages", str(size.messages), "--days", str(size.days)]
    command += ["--seed", str(SEED), "--latency-ms", str(size.latency_ms)]
    with _on_core(server_core()):
        server = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    with server:
        try:
            assert server.stdout
            space = Space(json.loads(server.stdout.readline()), size.latency_ms / 1_000)
            space.walk()
            yield space
        finally:
            server.terminate()


def server_core() -> int | None:
    """Core of the server, where there is more than one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0] if len(cores) > 1 else None


def client_core() -> int | None:
    """Core of what is measured, where there is more than one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[1] if len(cores) > 1 else None


@contextmanager
def _on_core(core: int | None) -> Iterator[None]:
    """Processes that are started in the context stay on a core."""
    cores = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    yield
    os.sched_setaffinity(0, cores)


def records_of(output: Path) -> Iterator[dict[str, Any]]:
    """Records that a run left: Singer's or Airbyte's messages, plain JSON lines, or dlt's folder of them."""
    files = sorted(output.glob("*/message_logs/*.jsonl")) if output.is_dir() else [output]
    for file in files:
        with file.open("rb") as lines:
            for line in lines:
                message = msgspec.json.decode(line)
                if "id" in message:
                    yield message
                elif message.get("type") == "RECORD":
                    record = message["record"]
                    # Airbyte's messages hold the record one level deeper.
                    yield record["data"] if "emitted_at" in record else record


def _key(record: dict[str, Any]) -> bytes:
    return bytes.fromhex(record["id"].replace("-", ""))


def _digest(record: dict[str, Any]) -> int:
    """Hash of a record, the same for what tools write in their own ways: no field or null, Z or +00:00, 0 or 0.0.

    Fields that a tool adds of its own begin with an underscore.
    """
    return hash(tuple((name, _plain(record[name])) for name in sorted(record) if _counts(name, record[name])))


def _counts(name: str, value: Any) -> bool:
    return value is not None and name[0] != "_"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value[:-6] + "Z" if value.endswith("+00:00") else value
    if isinstance(value, list):
        return tuple(tuple(sorted(entry.items())) for entry in value)
    return value
